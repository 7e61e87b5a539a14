//! Configurations as JavaScript writes them: JSON text, every field optional, unknown ones refused.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::failure::Failure;

/// A configuration of that shape.
pub(crate) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let what = without_place(&error);
        Failure::new("InvalidConfig", format!("the configuration can't be used: {what}; nothing was made"))
    })
}

/// What is wrong with a text. Where in the text it stands says nothing to somebody who wrote an object.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// A number of things: whole, within these bounds.
pub(crate) fn whole(field: &str, given: Option<f64>, least: u64, most: u64) -> Result<Option<u64>, Failure> {
    let Some(found) = given else { return Ok(None) };
    // Every whole number below 2^53 is exact.
    if found.fract() == 0.0 && found >= least as f64 && found <= most as f64 {
        return Ok(Some(found as u64));
    }
    let text = format!("{field} is {found}, expected a whole number from {least} to {most}; nothing was made");
    let mut failure = Failure::new("InvalidConfig", text);
    failure.details.insert("field".to_owned(), json!(field));
    Err(failure)
}

/// As [`whole`], as a length of time in milliseconds; a day at most, or `setTimeout` could not follow.
pub(crate) fn millis(field: &str, given: Option<f64>, least: u64) -> Result<Option<Duration>, Failure> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    Ok(whole(field, given, least, DAY)?.map(Duration::from_millis))
}
