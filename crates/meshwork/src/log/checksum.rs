//! Checksums of rows: BLAKE3 over place and content, cut to 128 bits.
//!
//! The place is part of it, so that two intact rows that changed places are noticed too.

/// Bytes of a checksum.
pub(super) const LEN: usize = 16;

/// The checksum of `bytes` at `seq`.
pub(super) fn of(seq: u64, bytes: &[u8]) -> [u8; LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(bytes);
    let mut sum = [0; LEN];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..LEN]);
    sum
}
