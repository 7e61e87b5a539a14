//! A batch as bytes: magic, version, checksum, then the entries in postcard's compact form.

use crate::config::BATCH_BYTES_MAX;
use crate::op::{Batch, Op};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: u8 = 0xB7;
/// 2: tasks have a review. 3: and prefer a peer; a swarm has a topology.
const FORMAT: u8 = 3;
const HEADER: usize = 10;

/// Bytes that are not a batch. Nothing was applied.
///
/// ```
/// use meshwork_core::CodecError;
/// use meshwork_core::{Author, Batch, Op, Position, Seen, decode_batch, encode_batch};
///
/// let author = Author { node: "local".to_owned(), incarnation: Position::new(1, 1) };
/// let batch = Batch { author, seq: 1, seen: Seen::default(), time_ms: 0, entries: vec![Op::Alive] };
/// let mut bytes = encode_batch(&batch)?;
/// *bytes.last_mut().expect("there are some") ^= 1;
/// assert!(matches!(decode_batch(&bytes), Err(CodecError::Checksum { .. })));
/// assert_eq!(decode_batch(b"hello"), Err(CodecError::NotABatch { found: 5 }));
/// # Ok::<(), CodecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Too short, or something else altogether.
    #[error("not a batch: {found} bytes that do not start like one")]
    NotABatch {
        /// How many bytes there are.
        found: usize,
    },
    /// Written by a newer version.
    #[error("batch format {found} is newer than {FORMAT}, the newest that this version reads")]
    NewerFormat {
        /// Its format.
        found: u8,
    },
    /// Written by an older version: its entries have other fields, and this version has no reader for them.
    #[error("batch format {found} is older than {FORMAT}, the only one that this version reads")]
    OlderFormat {
        /// Its format.
        found: u8,
    },
    /// The bytes are not those that were written.
    #[error("the batch is damaged: its checksum is {found:016x}, expected {expected:016x}")]
    Checksum {
        /// What the bytes give.
        found: u64,
        /// What was written beside them.
        expected: u64,
    },
    /// Whole, yet not entries.
    #[error("the batch cannot be decoded: {what}")]
    Malformed {
        /// What the decoder said.
        what: String,
    },
    /// Larger than any batch that is written.
    #[error("the batch has {found} bytes, the limit is {most}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        most: usize,
    },
}

/// Bytes of a batch for the log.
///
/// ```
/// use meshwork_core::{Author, Batch, Op, Position, Seen, decode_batch, encode_batch};
///
/// let author = Author { node: "local".to_owned(), incarnation: Position::new(1, 1) };
/// let batch = Batch { author, seq: 1, seen: Seen::default(), time_ms: 0, entries: vec![Op::Alive] };
/// assert_eq!(decode_batch(&encode_batch(&batch)?)?, batch);
/// # Ok::<(), meshwork_core::CodecError>(())
/// ```
///
/// # Errors
/// [`CodecError::TooLarge`] over twice [`BATCH_BYTES_MAX`]: the node's rules never write such a batch.
pub fn encode_batch(batch: &Batch) -> Result<Vec<u8>, CodecError> {
    let head = vec![0; HEADER];
    let mut bytes = postcard::to_extend(batch, head).map_err(|e| CodecError::Malformed { what: e.to_string() })?;
    if bytes.len() > 2 * BATCH_BYTES_MAX {
        return Err(CodecError::TooLarge { found: bytes.len(), most: 2 * BATCH_BYTES_MAX });
    }
    let sum = xxh3_64(&bytes[HEADER..]);
    bytes[0] = MAGIC;
    bytes[1] = FORMAT;
    bytes[2..HEADER].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// The batch that these bytes hold.
///
/// ```
/// use meshwork_core::{Author, Batch, Op, Position, Seen, decode_batch, encode_batch};
///
/// let author = Author { node: "local".to_owned(), incarnation: Position::new(1, 1) };
/// let batch = Batch { author, seq: 1, seen: Seen::default(), time_ms: 0, entries: vec![Op::Alive] };
/// let bytes = encode_batch(&batch)?;
/// assert_eq!(decode_batch(&bytes)?.entries, [Op::Alive]);
/// assert!(decode_batch(&bytes[..bytes.len() - 1]).is_err(), "cut short");
/// # Ok::<(), meshwork_core::CodecError>(())
/// ```
///
/// # Errors
/// See [`CodecError`]; never panics, whatever the bytes are.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, CodecError> {
    if bytes.len() < HEADER || bytes[0] != MAGIC {
        return Err(CodecError::NotABatch { found: bytes.len() });
    }
    if bytes.len() > 2 * BATCH_BYTES_MAX {
        return Err(CodecError::TooLarge { found: bytes.len(), most: 2 * BATCH_BYTES_MAX });
    }
    if bytes[1] > FORMAT {
        return Err(CodecError::NewerFormat { found: bytes[1] });
    }
    if bytes[1] < FORMAT {
        return Err(CodecError::OlderFormat { found: bytes[1] });
    }
    let expected = u64::from_le_bytes(bytes[2..HEADER].try_into().expect("eight bytes"));
    let found = xxh3_64(&bytes[HEADER..]);
    if found != expected {
        return Err(CodecError::Checksum { found, expected });
    }
    postcard::from_bytes(&bytes[HEADER..]).map_err(|e| CodecError::Malformed { what: e.to_string() })
}

/// Bytes that one entry takes in a batch.
///
/// ```
/// use meshwork_core::{Op, encoded_len};
///
/// assert_eq!(encoded_len(&Op::Alive), 1);
/// ```
pub fn encoded_len(op: &Op) -> usize {
    postcard::experimental::serialized_size(op).expect("plain data always has a size")
}
