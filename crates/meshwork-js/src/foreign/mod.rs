//! Objects of JavaScript that have the seed's members, as the library's traits. Each method of such an object is a
//! function that `lib/foreign.js` registered; what it answers is judged here.

pub(crate) mod artifacts;
pub(crate) mod broker;
pub(crate) mod controller;
pub(crate) mod memory;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::calls::{Answer, JsFunction};
use crate::failure::Failure;

/// Arguments as JSON text.
fn arguments<T: Serialize>(all: &T) -> Result<String, Failure> {
    serde_json::to_string(all).map_err(|error| Failure::new("Unserializable", error.to_string()))
}

/// An answer of that shape.
fn answered<T: DeserializeOwned>(method: &str, answer: Answer) -> Result<T, Failure> {
    let value = answer?.value();
    serde_json::from_value(value)
        .map_err(|error| Failure::new("InvalidAnswer", format!("{method} answered what can't be used: {error}")))
}

/// Calls a method and judges its answer.
async fn ask<T: DeserializeOwned>(
    function: &JsFunction,
    method: &str,
    given: &(impl Serialize + Sync),
) -> Result<T, Failure> {
    let text = arguments(given)?;
    answered(method, function.ask(text, None).await)
}
