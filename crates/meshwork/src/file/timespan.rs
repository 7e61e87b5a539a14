//! Durations as people write them: `"30s"`, `"1h30m"`, `"250ms"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a duration has to look like; errors quote it.
pub(super) const EXPECTED: &str = "a duration such as \"250ms\", \"30s\", \"10m\" or \"1h30m\"";

/// Units from large to small, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration in whole milliseconds, written as numbers with units, larger units first
/// (`d`, `h`, `m`, `s`, `ms`).
///
/// ```
/// use meshwork::file::Timespan;
///
/// let span: Timespan = "1h30m".parse()?;
/// assert_eq!((span.millis(), span.to_string()), (5_400_000, "1h30m".to_owned()));
/// # Ok::<(), meshwork::file::TimespanError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan(Duration);

impl Timespan {
    /// A span of that many milliseconds.
    ///
    /// ```
    /// use meshwork::file::Timespan;
    ///
    /// assert_eq!(Timespan::from_millis(90_000).to_string(), "1m30s");
    /// ```
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The span as the standard library's type.
    ///
    /// ```
    /// use meshwork::file::Timespan;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Timespan::from_millis(250).duration(), Duration::from_millis(250));
    /// ```
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whole milliseconds. The value was made from a `u64` of milliseconds, so it fits.
    ///
    /// ```
    /// use meshwork::file::Timespan;
    ///
    /// assert_eq!("2s".parse::<Timespan>()?.millis(), 2_000);
    /// # Ok::<(), meshwork::file::TimespanError>(())
    /// ```
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Why a text is not a duration.
///
/// ```
/// use meshwork::file::{Timespan, TimespanError};
///
/// let error = "5 minutes".parse::<Timespan>().expect_err("units are d, h, m, s and ms");
/// assert!(matches!(error, TimespanError::UnknownUnit(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimespanError {
    /// Nothing was written.
    #[error("empty duration; expected {EXPECTED}")]
    Empty,
    /// A unit stands without a number before it.
    #[error("no number at {0:?}; expected {EXPECTED}")]
    NoNumber(String),
    /// A number has no unit, or one that does not exist.
    #[error("unknown unit {0:?}; expected one of d, h, m, s, ms")]
    UnknownUnit(String),
    /// The units do not go from large to small, or one stands twice.
    #[error("unit {0:?} out of order; expected larger units first and each at most once")]
    Order(String),
    /// More milliseconds than 64 bits hold.
    #[error("duration {0:?} is too long")]
    TooLong(String),
}

impl FromStr for Timespan {
    type Err = TimespanError;

    fn from_str(text: &str) -> Result<Self, TimespanError> {
        if text.is_empty() {
            return Err(TimespanError::Empty);
        }
        let too_long = || TimespanError::TooLong(text.to_owned());
        let (mut rest, mut next_unit, mut total) = (text, 0, 0u64);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            if number.is_empty() {
                return Err(TimespanError::NoNumber(rest.to_owned()));
            }
            let letters = tail.bytes().take_while(|b| !b.is_ascii_digit()).count();
            let (unit, tail) = tail.split_at(letters);
            let index = UNITS.iter().position(|(name, _)| *name == unit);
            let Some(index) = index else {
                return Err(TimespanError::UnknownUnit(unit.to_owned()));
            };
            if index < next_unit {
                return Err(TimespanError::Order(unit.to_owned()));
            }
            let number: u64 = number.parse().map_err(|_| too_long())?;
            total =
                number.checked_mul(UNITS[index].1).and_then(|millis| total.checked_add(millis)).ok_or_else(too_long)?;
            (rest, next_unit) = (tail, index + 1);
        }
        Ok(Self::from_millis(total))
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if left >= length {
                write!(f, "{}{unit}", left / length)?;
                left %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for Timespan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Timespan;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timespan, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Timespan {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: numbers with units d, h, m, s, ms, larger units first.",
            "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "examples": ["250ms", "30s", "10m", "1h30m"]
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn texts_and_their_lengths() {
        for (text, millis) in
            [("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("1h30m", 5_400_000), ("1d1ms", 86_400_001), ("0s", 0)]
        {
            let span: Timespan = text.parse().unwrap();
            assert_eq!(span.millis(), millis, "{text}");
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("90m".parse::<Timespan>().unwrap().to_string(), "1h30m");
    }

    #[test]
    fn texts_that_are_no_durations() {
        use TimespanError as E;
        let cases = [
            ("", E::Empty),
            ("s", E::NoNumber("s".into())),
            ("-5s", E::NoNumber("-5s".into())),
            ("5", E::UnknownUnit(String::new())),
            ("5 s", E::UnknownUnit(" s".into())),
            ("1.5s", E::UnknownUnit(".".into())),
            ("30m1h", E::Order("h".into())),
            ("1s1s", E::Order("s".into())),
            ("99999999999999999999s", E::TooLong("99999999999999999999s".into())),
            ("300000000000d", E::TooLong("300000000000d".into())),
            ("5é", E::UnknownUnit("é".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Timespan>().unwrap_err(), error, "{text}");
        }
    }
}
