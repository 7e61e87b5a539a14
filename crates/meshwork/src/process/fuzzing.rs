//! What other processes say and show, for the fuzz targets.

use super::{nonce, output, procfs};

pub(crate) fn stderr_tail(pieces: &[&[u8]], most: usize) -> String {
    let mut tail = output::Tail::new(most);
    pieces.iter().for_each(|piece| tail.take(piece));
    tail.text()
}

pub(crate) fn parent_of(stat: &str) -> Option<i32> {
    procfs::parse_stat(stat).map(|stat| stat.parent)
}

pub(crate) fn mark_of(environment: &[u8]) -> Option<(&str, &str)> {
    nonce::own_link(environment)
}
