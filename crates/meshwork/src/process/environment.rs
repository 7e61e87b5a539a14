//! What a process inherits of our environment: little, and by name.

use std::ffi::OsString;

/// Variables that a process inherits. Nothing else is: keys and tokens in our environment are not the agent's.
pub const INHERITED_VARIABLES: &[&str] =
    &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Variables whose names begin like this are inherited too.
pub const INHERITED_PREFIXES: &[&str] = &["LC_"];

/// The whole environment of a process: the allow-list from ours, then `extra`, which wins over it (and a later entry over
/// an earlier one of the same name).
///
/// ```
/// use meshwork::process::environment;
///
/// let variables = environment(&[("MODEL".to_owned(), "small".to_owned())]);
/// assert!(variables.contains(&("MODEL".into(), "small".into())));
/// assert!(!variables.iter().any(|(name, _)| name == "AWS_SECRET_ACCESS_KEY"), "not on the list of what is inherited");
/// ```
#[must_use]
pub fn environment(extra: &[(String, String)]) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(is_inherited))
        .filter(|(name, _)| !extra.iter().any(|(own, _)| name == own.as_str()))
        .collect();
    for (at, (name, value)) in extra.iter().enumerate() {
        if !extra[at + 1..].iter().any(|(later, _)| later == name) {
            variables.push((name.into(), value.into()));
        }
    }
    variables
}

fn is_inherited(name: &str) -> bool {
    INHERITED_VARIABLES.contains(&name) || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allow_list_and_the_extras_pass() {
        let extra = [("PATH", "/a"), ("MESHWORK_TASK_ID", "old"), ("MESHWORK_TASK_ID", "new")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let built = environment(&extra);
        for (name, _) in &built {
            let name = name.to_string_lossy();
            assert!(is_inherited(&name) || name == "MESHWORK_TASK_ID", "{name} must not pass");
        }
        let value = |wanted: &str| {
            let mut found = built.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
            (found.next().cloned(), found.count())
        };
        assert_eq!(value("PATH"), (Some("/a".into()), 0));
        assert_eq!(value("MESHWORK_TASK_ID"), (Some("new".into()), 0));
        // Cargo sets this one for tests: proof that something was there to be held back.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(value("CARGO_MANIFEST_DIR"), (None, 0));
    }

    #[test]
    fn prefixes_are_prefixes() {
        assert!(is_inherited("LC_ALL") && is_inherited("HOME"));
        assert!(!is_inherited("HOMEBREW") && !is_inherited("XLC_ALL") && !is_inherited("AWS_SECRET_ACCESS_KEY"));
    }
}
