//! A command of a script as a sentence: words in their order, and `key=value` where a word has to say what it
//! is. Whatever nobody understood is an error, so that a script can't say something that is not done.

use goldenscript::{Argument, Command};
use std::collections::VecDeque;
use std::str::FromStr;

/// What is wrong with a sentence.
pub(super) type Error = Box<dyn std::error::Error>;

#[derive(Clone, Debug)]
enum Part {
    Word(String),
    Pair(String, String),
}

/// What is left of a sentence.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    text: String,
    parts: VecDeque<Part>,
}

impl Sentence {
    pub(super) fn new(command: &Command) -> Self {
        let name = Part::Word(command.name.clone());
        let args = command.args.iter().map(|arg| match arg {
            Argument::Positional(word) => Part::Word(word.clone()),
            Argument::KeyValue(key, value) => Part::Pair(key.clone(), value.clone()),
            other => unreachable!("{other} is neither a word nor a pair"),
        });
        Self { text: command.to_string(), parts: std::iter::once(name).chain(args).collect() }
    }

    /// Words only.
    pub(super) fn of_words(text: &str) -> Self {
        let parts = text.split(' ').map(|word| Part::Word(word.to_owned())).collect();
        Self { text: text.to_owned(), parts }
    }

    /// The whole of it, as it stands in the script.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The next word.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Error> {
        match self.parts.front() {
            Some(Part::Word(word)) => {
                let word = word.clone();
                self.parts.pop_front();
                Ok(word)
            }
            _ => Err(self.wrong(&format!("expected {what}"))),
        }
    }

    /// Takes this word if it is the next one.
    pub(super) fn takes(&mut self, word: &str) -> bool {
        let is_next = matches!(self.parts.front(), Some(Part::Word(next)) if next == word);
        if is_next {
            self.parts.pop_front();
        }
        is_next
    }

    /// Takes these words if they are the next ones.
    pub(super) fn takes_all(&mut self, words: &str) -> bool {
        let mut rest = self.clone();
        let all = words.split(' ').all(|word| rest.takes(word));
        if all {
            *self = rest;
        }
        all
    }

    /// The words up to the next one of these, or up to a pair, or the end.
    pub(super) fn words_until(&mut self, ends: &[&str]) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(Part::Word(word)) = self.parts.front() {
            if ends.contains(&word.as_str()) {
                break;
            }
            words.push(word.clone());
            self.parts.pop_front();
        }
        words
    }

    /// The next pair, if it stands here.
    pub(super) fn pair(&mut self) -> Option<(String, String)> {
        let Some(Part::Pair(key, value)) = self.parts.front() else { return None };
        let pair = (key.clone(), value.clone());
        self.parts.pop_front();
        Some(pair)
    }

    /// Takes the value of a key, wherever it stands.
    pub(super) fn value<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Error> {
        let Some(at) = self.parts.iter().position(|part| matches!(part, Part::Pair(k, _) if k == key)) else {
            return Ok(None);
        };
        let Some(Part::Pair(_, value)) = self.parts.remove(at) else { unreachable!("a pair was just found there") };
        parse(&value).map(Some).map_err(|_| self.wrong(&format!("{key} cannot be {value:?}")))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.wrong("the end of this is not understood")) }
    }

    pub(super) fn wrong(&self, what: &str) -> Error {
        format!("{what}, in {:?}; left: {:?}", self.text, self.parts).into()
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| format!("{text:?}").into())
}

/// Names in one value: `can="a b"`.
pub(super) fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}
