//! Who may ask: programs on this machine that hold the token of an attempt, and no page in a browser.

use super::failure::Failure;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};

/// The names under which we are reached. A page of another site that made its name point at this machine (DNS
/// rebinding) still sends its own.
pub(super) struct OwnNames {
    hosts: [String; 3],
}

impl OwnNames {
    pub(super) fn new(port: u16) -> Self {
        Self { hosts: ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")) }
    }

    fn is_ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Refuses what came by another name or from another site.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Failure> {
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let named = parts.uri.authority().is_none_or(|authority| self.is_ours(authority.as_str()));
        if !host.is_some_and(|host| self.is_ours(host)) || hosts.next().is_some() || !named {
            let found = host.unwrap_or("none");
            let message = format!(
                "the Host header is {found:?}, expected {}: requests by another name are refused; nothing was changed",
                self.hosts[0]
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, "ForeignHost", message));
        }
        for origin in parts.headers.get_all(header::ORIGIN) {
            let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
            if !own.is_some_and(|host| self.is_ours(host)) {
                let message =
                    "the Origin header names another site: requests from pages are refused; nothing was changed";
                return Err(Failure::new(StatusCode::FORBIDDEN, "ForeignOrigin", message));
            }
        }
        Ok(())
    }
}

/// The token that the request carries.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).ok_or_else(Failure::unauthorized)?;
    let (scheme, token) = value.split_once(' ').ok_or_else(Failure::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") || values.next().is_some() {
        return Err(Failure::unauthorized());
    }
    Ok(token.trim())
}

/// A token in a URL ends up in logs and histories, so it is refused even beside a good one.
pub(super) fn check_no_token_in_url(parts: &Parts) -> Result<(), Failure> {
    let query = parts.uri.query().unwrap_or_default();
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_ascii_lowercase());
    let userinfo = parts.uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if userinfo || names.into_iter().any(|name| name.contains("token") || name.contains("auth")) {
        let message = "a token in a URL is refused: expected it in the Authorization header; nothing was changed";
        return Err(Failure::bad_request("TokenInUrl", message));
    }
    Ok(())
}

/// The verb that is asked for.
pub(super) fn verb<'a>(parts: &'a Parts, known: &[&str]) -> Result<&'a str, Failure> {
    let listed = known.join(", ");
    let path = parts.uri.path();
    let Some(verb) = path.strip_prefix("/v1/").filter(|verb| known.contains(verb)) else {
        let message = format!("{path:?} is not known here; expected POST /v1/<verb> with one of: {listed}");
        return Err(Failure::new(StatusCode::NOT_FOUND, "UnknownVerb", message));
    };
    if parts.method != Method::POST {
        let message = format!("the method is {}, expected POST; nothing was changed", parts.method);
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message));
    }
    Ok(verb)
}
