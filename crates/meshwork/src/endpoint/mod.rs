//! The tool endpoint: what attempts that are processes talk to, over HTTP on loopback.
//!
//! `POST /v1/<verb>` with `Authorization: Bearer <token>`, JSON both ways (contracts, section 6). A token stands for
//! one attempt and dies with its [`Lease`]; whatever is done with it is fenced by the attempt's grant, so an attempt
//! that was given up on changes nothing any more.
//!
//! `guard` says who may ask, `request` bounds what is read, `verbs` does it; `failure` is every answer that is not a
//! yes. Not here: what the verbs mean, which is [`Tools`]' business, and where the node keeps its endpoint's address.

mod artifacts;
mod base64;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod messages;
mod request;
mod session;
mod task_request;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;
mod verbs;

pub use failure::{ErrorBody, ErrorDocument};
pub use task_request::{TASKS_BYTES, TaskRequest, parse_tasks};

pub(crate) use failure::Failure;
pub(crate) use request::json;
pub(crate) use task_request::{check_number, into_specs};

use crate::mesh::Tools;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use guard::OwnNames;
use session::{Sessions, TokenHash};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long [`Endpoint::shutdown`] waits for requests that are being answered.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The endpoint of one node. It stops when it is dropped.
///
/// ```
/// use meshwork::endpoint::Endpoint;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let endpoint = Endpoint::start()?;
/// assert!(endpoint.url().starts_with("http://127.0.0.1:"));
/// endpoint.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Endpoint {
    url: String,
    door: Arc<Door>,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// What the server can reach. It does not hold the endpoint, so that dropping that ends the server.
struct Door {
    names: OwnNames,
    sessions: Sessions,
    stopping: CancellationToken,
}

/// The right of one attempt to use the tools; ends when it is dropped.
///
/// ```
/// use meshwork::endpoint::Endpoint;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let endpoint = Endpoint::start()?;
/// let agent = FnAgent::new(move |attempt: Attempt| {
///     let endpoint = endpoint.clone();
///     async move {
///         let lease = endpoint.lease(attempt.tools);
///         // A process of the attempt would find it as `$MESHWORK_TOKEN`, for as long as the lease is kept.
///         AttemptEnd::ok(Output::Json(lease.token().len().to_string()))
///     }
/// });
/// // With this agent the peer ada does the task `build`.
/// assert!(run(agent).await?.result.is_some());
/// # Ok(())
/// # }
/// ```
pub struct Lease {
    token: String,
    hash: TokenHash,
    door: Arc<Door>,
}

impl Endpoint {
    /// Listens on a free port of 127.0.0.1; nobody has a token yet.
    ///
    /// ```
    /// use meshwork::endpoint::Endpoint;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let (one, other) = (Endpoint::start()?, Endpoint::start()?);
    /// assert_ne!(one.url(), other.url(), "each has a port of its own");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start() -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let names = OwnNames::new(address.port());
        let door = Arc::new(Door { names, sessions: Sessions::default(), stopping: CancellationToken::new() });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&door));
        let stopping = door.stopping.clone();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the tool endpoint ended");
            }
        });
        Ok(Arc::new(Self { url: format!("http://{address}"), door, server: Mutex::new(Some(server)) }))
    }

    /// Where it listens: `http://127.0.0.1:port`.
    ///
    /// ```
    /// use meshwork::endpoint::Endpoint;
    /// use std::net::SocketAddr;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let endpoint = Endpoint::start()?;
    /// let address: SocketAddr = endpoint.url().trim_start_matches("http://").parse()?;
    /// assert!(address.ip().is_loopback());
    /// # Ok(())
    /// # }
    /// ```
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token that is good for this attempt, for as long as the lease is kept.
    ///
    /// ```
    /// use meshwork::endpoint::Endpoint;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let endpoint = Endpoint::start()?;
    /// let agent = FnAgent::new(move |attempt: Attempt| {
    ///     let endpoint = endpoint.clone();
    ///     async move {
    ///         let (one, other) = (endpoint.lease(attempt.tools.clone()), endpoint.lease(attempt.tools));
    ///         assert_ne!(one.token(), other.token(), "never the same twice");
    ///         AttemptEnd::ok(Output::None)
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lease(self: &Arc<Self>, tools: Tools) -> Lease {
        let token = session::new_token();
        let hash = self.door.sessions.add(&token, tools, self.door.stopping.clone());
        Lease { token, hash, door: Arc::clone(&self.door) }
    }

    /// Takes no more requests, answers those that wait for tasks with 503, and waits for the others for a while.
    ///
    /// ```
    /// use meshwork::endpoint::Endpoint;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let endpoint = Endpoint::start()?;
    /// let address = endpoint.url().trim_start_matches("http://").to_owned();
    /// endpoint.shutdown().await;
    /// assert!(tokio::net::TcpStream::connect(&*address).await.is_err(), "nobody listens any more");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        self.door.stopping.cancel();
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server
            && tokio::time::timeout(SHUTDOWN, server).await.is_err()
        {
            tracing::warn!("a request to the tool endpoint did not end in time");
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.door.stopping.cancel();
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Lease {
    /// The token.
    ///
    /// ```
    /// use meshwork::endpoint::Endpoint;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let endpoint = Endpoint::start()?;
    /// let agent = FnAgent::new(move |attempt: Attempt| {
    ///     let lease = endpoint.lease(attempt.tools);
    ///     async move {
    ///         assert!(!format!("{lease:?}").contains(lease.token()), "tokens are secrets: they are not shown");
    ///         AttemptEnd::ok(Output::None)
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.door.sessions.end(&self.hash);
    }
}

/// Tokens are secrets: they are not shown.
impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

async fn handle(State(door): State<Arc<Door>>, request: Request) -> Response {
    answer(&door, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(door: &Door, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    door.names.check(&parts)?;
    guard::check_no_token_in_url(&parts)?;
    let session = door.sessions.find(guard::bearer(&parts.headers)?).ok_or_else(Failure::unauthorized)?;
    let verb = guard::verb(&parts, verbs::KNOWN)?;
    if door.stopping.is_cancelled() {
        return Err(Failure::stopping());
    }
    let _call = session.begin_call()?;
    let ended = session.ended.clone();
    tokio::select! {
        biased;
        answer = verbs::call(&session, verb, &parts, body) => answer,
        // Nothing of the attempt is left: there is nobody for the answer.
        () = ended.cancelled() => Err(Failure::unauthorized().changed()),
    }
}
