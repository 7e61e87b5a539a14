//! Seeded changes of bytes: those that find most, after AFL's list (M. Zalewski, "Binary fuzzing strategies", 2014).

use crate::dice::Dice;

/// Longest input that is made.
pub const LONGEST: usize = 64 * 1024;

/// Words of the formats here, for a mutation that knows them.
const WORDS: &[&[u8]] = &[
    b"[[tasks]]\n",
    b"[[peers]]\n",
    b"[swarm]\n",
    b"dependencies",
    b"id = ",
    b"= [",
    b"\"",
    b"'",
    b"\"\"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\n- ",
    b"  ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"|\n",
    b"null",
    b"true",
    b"1e400",
    b"-0",
    b"1.5",
    b"18446744073709551615",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x00",
    b"%",
    b"%2e",
    b"..",
    b"/",
    b"1h",
    b"ms",
    b"{\"meshwork\":{\"usage\":{\"inputTokens\":1,\"outputTokens\":2}}}",
    b"MESHWORK_NONCE=",
    b"{\"tasks\":[",
    b"\x1b[",
];
const EDGES: [u64; 9] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// The input with this number: one of the corpus, changed by what the seed draws for it. The same corpus, seed and
/// number give the same bytes.
#[must_use]
pub fn input(corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    // The first bits of neighbouring numbers are alike.
    let _like = dice.draw();
    let mut data = match corpus.len() {
        0 => Vec::new(),
        count => corpus[dice.below(count)].clone(),
    };
    if dice.below(8) == 0 {
        splice(&mut data, corpus, &mut dice);
    }
    for _ in 0..1 << dice.below(5) {
        change(&mut data, corpus, &mut dice);
    }
    data.truncate(LONGEST);
    data
}

/// The beginning of one and the end of another.
fn splice(data: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    if corpus.is_empty() {
        return;
    }
    let other = &corpus[dice.below(corpus.len())];
    data.truncate(dice.below(data.len() + 1));
    data.extend(&other[dice.below(other.len() + 1)..]);
}

fn change(data: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(data.len() + 1);
    let reach = dice.below(8);
    let end = (at + 1 + dice.below(1 << reach)).min(data.len());
    match dice.below(13) {
        0 if at < data.len() => data[at] ^= 1 << dice.below(8),
        1 if at < data.len() => data[at] = dice.byte(),
        2 if at < data.len() => data[at] = data[at].wrapping_add(dice.pick(&[1, 2, 0xff, 0xfe, 16])),
        3 => insert(data, at, &[dice.byte()]),
        4 => {
            let word = dice.pick(WORDS);
            insert(data, at, word);
        }
        5 if at < end => drop(data.drain(at..end)),
        6 if at < end => {
            let part = data[at..end].to_vec();
            let to = dice.below(data.len() + 1);
            insert(data, to, &part);
        }
        7 if at < end => {
            let part = data[at..end].to_vec();
            let times = 1 << dice.below(7);
            if part.len() * times <= 4_096 {
                insert(data, at, &part.repeat(times));
            }
        }
        8 => data.truncate(at),
        9 => number(data, at, dice),
        10 if at < data.len() => digit(data, at, dice),
        11 if !corpus.is_empty() => {
            let other = &corpus[dice.below(corpus.len())];
            let from = dice.below(other.len() + 1);
            let to = (from + dice.below(64)).min(other.len());
            insert(data, at, &other[from..to]);
        }
        12 if at < end => {
            let by = dice.below(end - at);
            data[at..end].rotate_left(by);
        }
        _ => insert(data, at, &[0xff]),
    }
}

fn insert(data: &mut Vec<u8>, at: usize, part: &[u8]) {
    drop(data.splice(at..at, part.iter().copied()));
}

/// A number at which arithmetic breaks, in one of the ways in which it may be written.
fn number(data: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let number = dice.pick(&EDGES);
    let bytes = match dice.below(4) {
        0 => number.to_le_bytes()[..1 << dice.below(4)].to_vec(),
        1 => number.to_be_bytes().to_vec(),
        2 => number.to_string().into_bytes(),
        _ => varint(number),
    };
    let end = (at + bytes.len()).min(data.len());
    drop(data.splice(at..end, bytes));
}

/// The nearest digit from there on becomes another.
fn digit(data: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(digit) = data[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
        *digit = b'0' + dice.byte() % 10;
    }
}

/// A number as postcard writes it (LEB128).
#[must_use]
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_input_and_others_give_others() {
        let corpus = vec![b"one = 1\n".to_vec(), b"[[tasks]]\nid = \"a\"\n".to_vec()];
        let made: Vec<Vec<u8>> = (0..200).map(|number| input(&corpus, 7, number)).collect();
        let again: Vec<Vec<u8>> = (0..200).map(|number| input(&corpus, 7, number)).collect();
        assert_eq!(made, again);
        let different: std::collections::BTreeSet<_> = made.iter().collect();
        assert!(different.len() > 150, "{} different inputs", different.len());
        assert_ne!(made, (0..200).map(|number| input(&corpus, 8, number)).collect::<Vec<_>>());
    }

    #[test]
    fn every_input_is_within_its_length() {
        let corpus = vec![vec![b'['; LONGEST]];
        assert!((0..500).all(|number| input(&corpus, 1, number).len() <= LONGEST));
        assert!((0..50).all(|number| input(&[], 1, number).len() <= LONGEST));
    }
}
