//! What a call answers: nothing, a value as JSON text, or a failure as JSON text; now, or by a promise.

use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use napi::bindgen_prelude::{Either, PromiseRaw, within_runtime_if_available};
use napi::{Env, Result};
use serde::Serialize;

use crate::failure::Failure;

/// `{"value": …}` or `{"failure": …}` as text; nothing where all went well and there is nothing to say.
pub(crate) type Outcome = Option<String>;

/// An outcome that may have to be waited for.
pub(crate) type Soon<'env> = Either<Outcome, PromiseRaw<'env, Outcome>>;

#[derive(Serialize)]
enum Said<T> {
    #[serde(rename = "value")]
    Value(T),
    #[serde(rename = "failure")]
    Failure(Failure),
}

fn text<T: Serialize>(said: &Said<T>) -> String {
    serde_json::to_string(said).unwrap_or_else(|error| {
        // Texts and numbers only: serializing them again can't fail.
        let failure = Failure::new("InvalidAnswer", error.to_string());
        serde_json::to_string(&Said::<()>::Failure(failure)).unwrap_or_default()
    })
}

/// The answer of a call that answers nothing when it goes well.
pub(crate) fn done<E: Into<Failure>>(result: std::result::Result<(), E>) -> Outcome {
    result.err().map(|error| failed(error.into()))
}

/// That failure as an answer.
pub(crate) fn failed(failure: Failure) -> String {
    text(&Said::<()>::Failure(failure))
}

/// The answer of a call that answers a value.
pub(crate) fn told<T: Serialize, E: Into<Failure>>(result: std::result::Result<T, E>) -> Outcome {
    Some(match result {
        Ok(value) => text(&Said::Value(value)),
        Err(error) => failed(error.into()),
    })
}

/// Answers at once where the work needs no waiting, which spares a promise and a change of threads; else by a promise,
/// which keeps Node alive until it is answered.
pub(crate) fn soon<'env>(env: &'env Env, work: impl Future<Output = Outcome> + Send + 'static) -> Result<Soon<'env>> {
    let mut work = work.boxed();
    let first = within_runtime_if_available(|| work.poll_unpin(&mut Context::from_waker(Waker::noop())));
    match first {
        Poll::Ready(outcome) => Ok(Either::A(outcome)),
        Poll::Pending => env.spawn_future(async move { Ok(work.await) }).map(Either::B),
    }
}
