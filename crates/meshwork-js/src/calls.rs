//! Calls into JavaScript: one queue, taken in batches on JavaScript's thread, answered in batches.
//!
//! JavaScript registers functions by numbers of its own (`lib/calls.js`). Any thread may call one; the first call of a
//! batch wakes JavaScript. The way there is weak: an idle queue does not keep Node alive.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, FnArgs, Function, FunctionRef, block_on};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// So many calls are handed over together at most; then JavaScript turns to other things first.
const BATCH: usize = 1024;

/// What a call came to.
pub(crate) type Answer = std::result::Result<Given, Failure>;

/// What JavaScript answers.
#[derive(Debug)]
pub(crate) enum Given {
    /// Plain data; `null` for nothing.
    Value(Value),
    /// Bytes.
    Bytes(Bytes),
}

impl Given {
    /// Plain data, whatever was given.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Bytes(_) => Value::Null,
        }
    }
}

type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The function that makes one call at once: its number and arguments, answered by `[0, value]` or `[0, null, failure]`.
type Now = FnArgs<(u32, String)>;

/// How long another thread than JavaScript's waits for an answer that it needs at once: far longer than a turn of the
/// event loop takes, so that a loop that stands still is an error and not a thread that is lost.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How long a method of a foreign object may take: as long as a controller waits for its hosts, far more than a disk or
/// a database takes, so that one that never answers holds nothing up for ever.
const FOREIGN: Duration = Duration::from_secs(30);

thread_local! {
    /// JavaScript's own thread has one.
    static ENV: Cell<Option<Env>> = const { Cell::new(None) };
}

/// The queue. Clones are the same.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Inner>);

struct Inner {
    wake: Wake,
    now: FunctionRef<Now, String>,
    home: ThreadId,
    /// In ms; see [`FOREIGN`].
    foreign_within: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last call that somebody waits for; 0 stands for calls that nobody does.
    last: u64,
    waiting: VecDeque<Call>,
    open: HashMap<u64, OpenCall>,
    /// JavaScript was told that something waits.
    woken: bool,
    /// JavaScript is gone.
    gone: bool,
}

/// A call that is not answered.
struct OpenCall {
    answer: oneshot::Sender<Answer>,
    /// It is a message for a handler.
    message: bool,
    /// JavaScript has it.
    taken: bool,
}

struct Call {
    number: u64,
    function: u32,
    /// An array, as JSON text; empty: the function is not called any more.
    arguments: String,
    bytes: Option<Bytes>,
}

/// A function of JavaScript. Clones are the same; it is forgotten with the last of them.
#[derive(Clone)]
pub(crate) struct JsFunction(Arc<Registered>);

struct Registered {
    calls: Calls,
    number: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.calls.enqueue(Call { number: 0, function: self.number, arguments: String::new(), bytes: None });
    }
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The function that JavaScript registered by that number.
    pub(crate) fn function(&self, number: u32) -> JsFunction {
        JsFunction(Arc::new(Registered { calls: self.clone(), number }))
    }

    fn enqueue(&self, call: Call) {
        let wake = {
            let mut state = self.state();
            if state.gone {
                // Whoever waits is told.
                state.open.remove(&call.number);
                return;
            }
            state.waiting.push_back(call);
            !std::mem::replace(&mut state.woken, true)
        };
        if wake {
            self.wake();
        }
    }

    fn wake(&self) {
        let status = self.0.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        if status != Status::Ok {
            // Node is ending: nobody will ever answer.
            let mut state = self.state();
            state.gone = true;
            state.waiting.clear();
            state.open.clear();
        }
    }

    fn forget(&self, number: u64) {
        self.state().open.remove(&number);
    }
}

/// Forgets a call whose caller does not wait any more.
struct Open {
    calls: Calls,
    number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.calls.forget(self.number);
    }
}

impl JsFunction {
    /// Calls it; the future ends when it has answered, or what it promised. The call has its place in the queue when
    /// this returns, before the future is polled.
    pub(crate) fn call(&self, arguments: String, bytes: Option<Bytes>) -> impl Future<Output = Answer> + Send + use<> {
        self.open(arguments, bytes, false)
    }

    /// The same for a method of a foreign object, which has a deadline.
    pub(crate) fn ask(&self, arguments: String, bytes: Option<Bytes>) -> impl Future<Output = Answer> + Send + use<> {
        let within = Duration::from_millis(self.0.calls.0.foreign_within.load(Ordering::Relaxed));
        let answer = self.call(arguments, bytes);
        async move {
            let answered = tokio::time::timeout(within, answer).await;
            answered.unwrap_or_else(|_| Err(Failure::new("Foreign", format!("it did not answer within {within:?}"))))
        }
    }

    /// The same for a handler of messages.
    pub(crate) fn handle(&self, arguments: String) -> impl Future<Output = Answer> + Send + use<> {
        self.open(arguments, None, true)
    }

    fn open(
        &self,
        arguments: String,
        bytes: Option<Bytes>,
        message: bool,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let calls = self.0.calls.clone();
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut state = calls.state();
            state.last += 1;
            let number = state.last;
            state.open.insert(number, OpenCall { answer, message, taken: false });
            number
        };
        calls.enqueue(Call { number, function: self.0.number, arguments, bytes });
        let open = Open { calls, number };
        async move {
            let answer = answered.await;
            drop(open);
            answer.unwrap_or_else(|_| Err(Failure::new("Closed", "Node.js is ending")))
        }
    }

    /// Calls it and has its answer at once: for what is not asynchronous. On JavaScript's own thread it is called
    /// here and now, which must be within a call of JavaScript's; another thread waits until JavaScript has the time.
    pub(crate) fn call_now(&self, arguments: String) -> Answer {
        let inner = &self.0.calls.0;
        if std::thread::current().id() == inner.home {
            let env = ENV.get().ok_or_else(|| Failure::new("Closed", "Node.js is ending"))?;
            let now = inner.now.borrow_back(&env).and_then(|now| now.call((self.0.number, arguments).into()));
            let text = now.map_err(|error| Failure::new("Foreign", error.reason.clone()))?;
            let settled = serde_json::from_str(&text);
            let Settled(_, value, failure) =
                settled.map_err(|error| Failure::new("InvalidAnswer", error.to_string()))?;
            return failure.map_or(Ok(Given::Value(value)), Err);
        }
        let answer = self.call(arguments, None);
        let wait = async { tokio::time::timeout(AT_ONCE, answer).await };
        let waited = match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| runtime.block_on(wait))
            }
            Ok(_) => return Err(Failure::new("Foreign", "it can't be asked from a runtime of one thread")),
            Err(_) => block_on(wait),
        };
        waited.unwrap_or_else(|_| Err(Failure::new("Foreign", format!("it did not answer within {AT_ONCE:?}"))))
    }

    /// Calls it, whatever comes of it.
    pub(crate) fn tell(&self, arguments: String) {
        self.0.calls.enqueue(Call { number: 0, function: self.0.number, arguments, bytes: None });
    }
}

/// Calls that JavaScript is to make now.
#[napi(object)]
pub struct Batch {
    /// `[[call, function, arguments | null], …]`: JSON. Call 0 is not answered; without arguments the function is
    /// forgotten. A call with bytes has their place in `bytes` behind its arguments.
    pub text: String,
    /// Bytes that are arguments.
    pub bytes: Vec<Buffer>,
}

/// Answers of JavaScript: `[call, value]`, or `[call, null, failure]`.
#[derive(Deserialize)]
struct Settled(u64, Value, #[serde(default)] Option<Failure>);

/// The queue as JavaScript has it.
#[napi(js_name = "Calls")]
pub struct CallQueue {
    pub(crate) calls: Calls,
}

#[napi]
impl CallQueue {
    /// A queue that calls `wake` when there is something to take, and `now` where an answer is needed at once.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(constructor)]
    pub fn new(env: Env, wake: Function<'_, (), ()>, now: Function<'_, FnArgs<(u32, String)>, String>) -> Result<Self> {
        ENV.set(Some(env));
        let wake = wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
        let (now, home) = (now.create_ref()?, std::thread::current().id());
        let foreign_within = AtomicU64::new(u64::try_from(FOREIGN.as_millis()).unwrap_or(u64::MAX));
        Ok(Self { calls: Calls(Arc::new(Inner { wake, now, home, foreign_within, state: Mutex::default() })) })
    }

    /// From now on methods of foreign objects may take so many ms: for tests.
    #[napi(catch_unwind)]
    pub fn foreign_within(&self, ms: u32) {
        self.calls.0.foreign_within.store(u64::from(ms), Ordering::Relaxed);
    }

    /// What waits, in its order; nothing when nothing does.
    #[napi(catch_unwind)]
    pub fn take(&self) -> Option<Batch> {
        let (calls, more) = {
            let mut state = self.calls.state();
            let count = state.waiting.len().min(BATCH);
            let calls: Vec<Call> = state.waiting.drain(..count).collect();
            let more = !state.waiting.is_empty();
            state.woken = more;
            // What nobody waits for any more is not done.
            let open = calls.into_iter().filter(|call| {
                let open = state.open.get_mut(&call.number).map(|open| open.taken = true);
                call.number == 0 || open.is_some()
            });
            (open.collect::<Vec<_>>(), more)
        };
        if more {
            self.calls.wake();
        }
        (!calls.is_empty()).then(|| batch(calls))
    }

    /// Messages that JavaScript's handlers work on.
    #[napi(catch_unwind)]
    pub fn in_hand(&self) -> f64 {
        self.calls.state().open.values().filter(|open| open.message && open.taken).count() as f64
    }

    /// JavaScript has answered these.
    #[napi(catch_unwind)]
    pub fn settle(&self, text: String) -> Result<()> {
        let unread = |error| napi::Error::new(Status::InvalidArg, format!("these are no answers: {error}"));
        let all: Vec<&RawValue> = serde_json::from_str(&text).map_err(unread)?;
        let settled: Vec<(u64, Answer)> =
            all.into_iter().map(answer_of).collect::<std::result::Result<_, _>>().map_err(unread)?;
        let mut state = self.calls.state();
        for (number, answer) in settled {
            if let Some(open) = state.open.remove(&number) {
                // Whoever waited may have gone.
                let _gone = open.answer.send(answer);
            }
        }
        Ok(())
    }

    /// JavaScript has answered this one with bytes.
    #[napi(catch_unwind)]
    pub fn settle_bytes(&self, call: f64, bytes: Buffer) {
        let open = self.calls.state().open.remove(&(call as u64));
        if let Some(open) = open {
            let _gone = open.answer.send(Ok(Given::Bytes(Bytes::copy_from_slice(&bytes))));
        }
    }
}

/// One answer and its call. One that can't be used, such as half of a character or a hundred levels, is a failure of
/// that call alone.
fn answer_of(raw: &RawValue) -> serde_json::Result<(u64, Answer)> {
    match serde_json::from_str(raw.get()) {
        Ok(Settled(number, value, failure)) => Ok((number, failure.map_or(Ok(Given::Value(value)), Err))),
        Err(error) => {
            let parts: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            let number = serde_json::from_str(parts.first().map_or("", |number| number.get()))?;
            let text = format!("the answer can't be used: {}", crate::config::without_place(&error));
            Ok((number, Err(Failure::new("InvalidAnswer", text))))
        }
    }
}

fn batch(calls: Vec<Call>) -> Batch {
    let (mut text, mut bytes) = (String::from("["), Vec::new());
    for call in calls {
        if text.len() > 1 {
            text.push(',');
        }
        let arguments = if call.arguments.is_empty() { "null" } else { &call.arguments };
        text.push_str(&format!("[{},{},{arguments}", call.number, call.function));
        if let Some(content) = call.bytes {
            text.push_str(&format!(",{}", bytes.len()));
            bytes.push(Buffer::from(content.to_vec()));
        }
        text.push(']');
    }
    text.push(']');
    Batch { text, bytes }
}
