//! The mark by which a process is known to belong to an attempt, whatever became of its parents and its group.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// The variable that carries the mark: a comma-separated chain of `<swarm nonce>:<attempt nonce>`, outermost first.
/// It has more than one link when an attempt runs meshwork itself; so the outer one still knows what the inner one started.
pub const NONCE_VARIABLE: &str = "MESHWORK_NONCE";

/// A longer part is refused: it is a mark, not a message.
const PART_BYTES: usize = 64;

/// An inherited chain longer than this is not continued: it would mean meshwork within meshwork dozens of levels deep.
const CHAIN_BYTES: usize = 4096;

/// Names one attempt of one swarm, uniquely on this machine.
///
/// ```
/// use meshwork::process::Nonce;
///
/// let nonce = Nonce::new("6f1c2a", "t0-1")?;
/// assert_eq!((nonce.swarm(), nonce.attempt()), ("6f1c2a", "t0-1"));
/// # Ok::<(), meshwork::process::NonceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nonce {
    swarm: String,
    attempt: String,
}

/// A part of a nonce that is not 1 to 64 ASCII letters, digits, `-` or `_`.
///
/// ```
/// use meshwork::process::Nonce;
///
/// assert!(Nonce::new("6f1c2a", "a,b").is_err(), "it could not be told from two");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a nonce has 1 to {PART_BYTES} ASCII letters, digits, '-' or '_' in each part, found {found:?}; nothing was changed"
)]
pub struct NonceError {
    found: String,
}

impl Nonce {
    /// From a swarm's part, which all its attempts share over restarts, and an attempt's part, which is never used again.
    ///
    /// ```
    /// use meshwork::process::Nonce;
    ///
    /// assert!(Nonce::new("6f1c2a", "t0-1").is_ok());
    /// assert!(Nonce::new("", "t0-1").is_err());
    /// ```
    ///
    /// # Errors
    /// When a part holds anything but 1 to 64 ASCII letters, digits, `-` or `_`.
    pub fn new(swarm: impl Into<String>, attempt: impl Into<String>) -> Result<Self, NonceError> {
        let (swarm, attempt) = (swarm.into(), attempt.into());
        for part in [&swarm, &attempt] {
            let fits = (1..=PART_BYTES).contains(&part.len());
            if !fits || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(NonceError { found: part.chars().take(PART_BYTES).collect() });
            }
        }
        Ok(Self { swarm, attempt })
    }

    /// The swarm's part.
    ///
    /// ```
    /// use meshwork::process::Nonce;
    ///
    /// assert_eq!(Nonce::new("6f1c2a", "t0-1")?.swarm(), "6f1c2a");
    /// # Ok::<(), meshwork::process::NonceError>(())
    /// ```
    #[must_use]
    pub fn swarm(&self) -> &str {
        &self.swarm
    }

    /// The attempt's part.
    ///
    /// ```
    /// use meshwork::process::Nonce;
    ///
    /// assert_eq!(Nonce::new("6f1c2a", "t0-1")?.attempt(), "t0-1");
    /// # Ok::<(), meshwork::process::NonceError>(())
    /// ```
    #[must_use]
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    /// The value of [`NONCE_VARIABLE`] for this attempt's processes.
    pub(super) fn chain(&self) -> String {
        let inherited = inherited_chain();
        if inherited.is_empty() { self.to_string() } else { format!("{inherited},{self}") }
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.swarm, self.attempt)
    }
}

/// The chain that this program itself was started with; empty outside of any attempt.
fn inherited_chain() -> &'static str {
    static CHAIN: OnceLock<String> = OnceLock::new();
    CHAIN.get_or_init(|| {
        std::env::var(NONCE_VARIABLE).ok().filter(|chain| chain.len() <= CHAIN_BYTES).unwrap_or_default()
    })
}

/// The link that this program added to a process's chain, as (swarm, attempt); `None` when the process is not of ours.
pub(super) fn own_link(environ: &[u8]) -> Option<(&str, &str)> {
    link_after(environ, inherited_chain())
}

fn link_after<'a>(environ: &'a [u8], inherited: &str) -> Option<(&'a str, &'a str)> {
    chains(environ).find_map(|chain| {
        let rest = chain.strip_prefix(inherited)?;
        let rest = if inherited.is_empty() { rest } else { rest.strip_prefix(',')? };
        rest.split(',').next()?.split_once(':')
    })
}

/// The attempt whose link carries this swarm nonce, at whatever depth of the chain.
pub(super) fn link_of_swarm<'a>(environ: &'a [u8], swarm: &str) -> Option<&'a str> {
    chains(environ)
        .flat_map(|chain| chain.split(','))
        .filter_map(|link| link.split_once(':'))
        .find_map(|(of, attempt)| (of == swarm).then_some(attempt))
}

/// Values of the variable in an environment as the kernel shows it: `NAME=value` entries, each ended by a zero byte.
fn chains(environ: &[u8]) -> impl Iterator<Item = &str> {
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.strip_prefix(NONCE_VARIABLE.as_bytes())?.strip_prefix(b"="))
        .filter_map(|value| OsStr::from_bytes(value).to_str())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn parts_are_checked() {
        assert!(Nonce::new("s1", "a_1-x").is_ok());
        for bad in ["", "a:b", "a,b", "a b", "ä", &"x".repeat(65)] {
            let error = Nonce::new("s", bad).unwrap_err().to_string();
            assert!(error.contains("1 to 64"), "{error}");
        }
    }

    #[test]
    fn the_own_link_is_the_one_after_what_was_inherited() {
        let environ = b"A=b\0MESHWORK_NONCE=s:outer,t:mine,u:inner\0Z=\0";
        assert_eq!(link_after(environ, ""), Some(("s", "outer")));
        assert_eq!(link_after(environ, "s:outer"), Some(("t", "mine")));
        assert_eq!(link_after(environ, "s:outer,t:mine,u:inner"), None);
        assert_eq!(link_after(environ, "s:out"), None);
        assert_eq!(link_after(b"XMESHWORK_NONCE=s:a\0MESHWORK_NONCE\0", ""), None);
    }

    #[test]
    fn a_swarm_is_found_at_any_depth() {
        let environ = b"MESHWORK_NONCE=s:outer,t:mine\0";
        assert_eq!(link_of_swarm(environ, "t"), Some("mine"));
        assert_eq!(link_of_swarm(environ, "s"), Some("outer"));
        assert_eq!(link_of_swarm(environ, "mine"), None);
        assert_eq!(link_of_swarm(b"", "s"), None);
    }
}
