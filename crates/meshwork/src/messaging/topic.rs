//! Topics, and patterns of them: tokens between dots, as in NATS.

use std::borrow::Borrow;
use std::fmt;

use thiserror::Error;

/// Longer ones are refused: it is what a NATS server takes without being told otherwise.
const BYTES_MAX: usize = 255;

/// Why a text is no topic or no pattern of topics.
///
/// ```
/// use meshwork::messaging::{Topic, TopicError};
///
/// let error: TopicError = Topic::new("news..today").unwrap_err();
/// assert_eq!((error.text.as_str(), error.why), ("news..today", "a token between dots is empty"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no {what}: {why}; nothing changed")]
pub struct TopicError {
    /// The text.
    pub text: String,
    /// What it was to be.
    pub what: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

/// Where a message is published: `mesh.swarm-1.discovery`.
///
/// ```
/// use meshwork::messaging::Topic;
///
/// let topic = Topic::new("news.today")?;
/// assert_eq!(topic.to_string(), "news.today");
/// # Ok::<(), meshwork::messaging::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(String);

/// Which topics somebody subscribes to: `mesh.*.discovery`, `mesh.>`.
///
/// ```
/// use meshwork::messaging::{Pattern, Topic};
///
/// let pattern = Pattern::new("mesh.*.discovery")?;
/// assert!(pattern.matches(&Topic::of_swarm("swarm-1", "discovery")?));
/// # Ok::<(), meshwork::messaging::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(String);

fn check(text: &str, what: &'static str, wildcards: bool) -> Result<(), TopicError> {
    let wrong = |why| Err(TopicError { text: text.chars().take(BYTES_MAX).collect(), what, why });
    if text.len() > BYTES_MAX {
        return wrong("it has more than 255 bytes");
    }
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() {
            return wrong("a token between dots is empty");
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("it contains white space");
        }
        if !wildcards && token.contains(['*', '>']) {
            return wrong("`*` and `>` are for subscriptions");
        }
        if token.len() > 1 && token.contains(['*', '>']) {
            return wrong("`*` and `>` stand for whole tokens");
        }
        if token == ">" && tokens.peek().is_some() {
            return wrong("`>` stands at the end");
        }
    }
    Ok(())
}

impl Topic {
    /// The topic of a swarm on which its peers speak about that: `mesh.<swarm>.<about>`. The name of the swarm is one
    /// token.
    ///
    /// ```
    /// use meshwork::messaging::Topic;
    ///
    /// assert_eq!(Topic::of_swarm("swarm-1", "discovery")?.as_str(), "mesh.swarm-1.discovery");
    /// assert_eq!(Topic::of_swarm("swarm.1", "discovery").unwrap_err().why, "it contains a dot");
    /// # Ok::<(), meshwork::messaging::TopicError>(())
    /// ```
    ///
    /// # Errors
    /// Says what is wrong with the name.
    pub fn of_swarm(swarm: &str, about: &str) -> Result<Self, TopicError> {
        if swarm.contains('.') {
            return Err(TopicError { text: swarm.to_owned(), what: "name of a swarm", why: "it contains a dot" });
        }
        Self::new(&format!("mesh.{swarm}.{about}"))
    }

    /// That topic.
    ///
    /// ```
    /// use meshwork::messaging::Topic;
    ///
    /// assert!(Topic::new("news.today").is_ok());
    /// let error = Topic::new("news.*").unwrap_err();
    /// assert_eq!(error.to_string(), r#""news.*" is no topic: `*` and `>` are for subscriptions; nothing changed"#);
    /// ```
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text, "topic", false).map(|()| Self(text.to_owned()))
    }

    /// As text.
    ///
    /// ```
    /// use meshwork::messaging::Topic;
    ///
    /// assert_eq!(Topic::new("news.today")?.as_str(), "news.today");
    /// # Ok::<(), meshwork::messaging::TopicError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// That pattern.
    ///
    /// ```
    /// use meshwork::messaging::Pattern;
    ///
    /// assert!(Pattern::new("news.>").is_ok());
    /// assert_eq!(Pattern::new("news.>.today").unwrap_err().why, "`>` stands at the end");
    /// ```
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text, "pattern of topics", true).map(|()| Self(text.to_owned()))
    }

    /// As text.
    ///
    /// ```
    /// use meshwork::messaging::Pattern;
    ///
    /// assert_eq!(Pattern::new("news.>")?.as_str(), "news.>");
    /// # Ok::<(), meshwork::messaging::TopicError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one topic, without a wildcard.
    ///
    /// ```
    /// use meshwork::messaging::Pattern;
    ///
    /// assert!(Pattern::new("news.today")?.is_exact());
    /// assert!(!Pattern::new("news.*")?.is_exact());
    /// # Ok::<(), meshwork::messaging::TopicError>(())
    /// ```
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '>'])
    }

    /// Whether the topic is one of these.
    ///
    /// ```
    /// use meshwork::messaging::{Pattern, Topic};
    ///
    /// let (one, rest) = (Pattern::new("news.*")?, Pattern::new("news.>")?);
    /// let (short, long) = (Topic::new("news.today")?, Topic::new("news.today.local")?);
    /// assert!(one.matches(&short) && !one.matches(&long));
    /// assert!(rest.matches(&short) && rest.matches(&long));
    /// // It stands for one token at least.
    /// assert!(!rest.matches(&Topic::new("news")?));
    /// # Ok::<(), meshwork::messaging::TopicError>(())
    /// ```
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut tokens = topic.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                (_, Some(_)) => return false,
            }
        }
        tokens.next().is_none()
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&Topic::new(topic).unwrap())
    }

    #[test]
    fn a_star_is_one_token_and_a_greater_than_the_rest() {
        for (pattern, topic) in [("a.b", "a.b"), ("a.*", "a.b"), ("*.*", "a.b"), ("a.>", "a.b.c"), (">", "a")] {
            assert!(matches(pattern, topic), "{pattern} {topic}");
        }
        for (pattern, topic) in [("a.b", "a.c"), ("a.*", "a.b.c"), ("a.*", "a"), ("a.>", "a"), ("a", "a.b")] {
            assert!(!matches(pattern, topic), "{pattern} {topic}");
        }
    }

    #[test]
    fn what_is_no_topic_says_why() {
        for (text, why) in [("", "empty"), ("a..b", "empty"), ("a b", "white space"), ("a.*", "subscriptions")] {
            let error = Topic::new(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("nothing changed"), "{error}");
        }
        for (text, why) in [("a.>.b", "at the end"), ("a*", "whole tokens"), ("a.", "empty")] {
            let error = Pattern::new(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(Topic::new(&"a".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn every_topic_matches_itself_and_its_stars(tokens in prop::collection::vec("[a-z$-]{1,5}", 1..6), at: prop::sample::Index) {
            let topic = tokens.join(".");
            prop_assert!(matches(&topic, &topic));
            let mut starred = tokens.clone();
            let at = at.index(tokens.len());
            starred[at] = "*".to_owned();
            prop_assert!(matches(&starred.join("."), &topic));
            starred.truncate(at);
            starred.push(">".to_owned());
            prop_assert!(matches(&starred.join("."), &topic));
        }
    }
}
