//! Random bits of the operating system.

/// So many bytes.
///
/// # Panics
/// When the operating system has no random source.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}

/// So many bytes as hexadecimal digits, two a byte.
///
/// # Panics
/// When the operating system has no random source.
pub(crate) fn hex<const N: usize>() -> String {
    bytes::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}
