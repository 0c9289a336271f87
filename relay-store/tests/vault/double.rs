//! A Vault of the test's own: transit, JWT login and key-value engine as far as they are used, with
//! policies, faults, and notes of what it was asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use relay_core::{TokenVerifier as _, VerifyingKeys};
use serde_json::{Value as Json, json};

/// The token of the process under test, which may do anything.
pub(crate) const ROOT: &str = "root-canary-token";
/// The key that logins are checked with.
pub(crate) const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA8ZvCjRQjku8pZFsGFPWxpE3KoAl7L9HCo4810GihjWU=
-----END PUBLIC KEY-----";
/// The key that makes tokens.
pub(crate) const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOuuzjc1+BiSa7RLhYsYwXHuKuOIMXMkvx+fZWVrHqHH
-----END PRIVATE KEY-----";

/// What goes wrong in the place of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Status(u16),
    Malformed,
    Slow,
    Redirect,
    Giant,
    /// An error that repeats what was sent.
    Echo,
}

#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    requests: Vec<Json>,
    entries: BTreeMap<String, Json>,
    sealed: Vec<(Json, Json)>,
    logins: usize,
    /// What a token may read.
    grants: HashMap<String, [String; 2]>,
    /// Faults of the requests whose path holds this text, and how many.
    faults: Vec<(&'static str, Fault, usize)>,
    /// How long tokens last; 0 is for ever.
    lease: u64,
    /// How often the token of the process was renewed.
    renewed: usize,
}

impl Double {
    /// Serves it; its address.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What it was asked since.
    pub(crate) fn requests(&self) -> Vec<Json> {
        std::mem::take(&mut self.inner().requests)
    }

    /// Method and path of what it was asked since.
    pub(crate) fn lines(&self) -> Vec<String> {
        let requests = self.requests();
        requests.iter().map(|request| request["line"].as_str().unwrap().to_owned()).collect()
    }

    /// So many requests whose path holds this text fail.
    pub(crate) fn fail(&self, path: &'static str, fault: Fault, times: usize) {
        self.inner().faults.push((path, fault, times));
    }

    pub(crate) fn heal(&self) {
        self.inner().faults.clear();
    }

    /// How long tokens last from now on.
    pub(crate) fn lease(&self, seconds: u64) {
        self.inner().lease = seconds;
    }

    /// Takes all tokens of callers back.
    pub(crate) fn revoke(&self) {
        self.inner().grants.clear();
    }

    pub(crate) fn renewed(&self) -> usize {
        self.inner().renewed
    }

    pub(crate) fn put(&self, path: &str, data: Json) {
        self.inner().entries.insert(path.to_owned(), data);
    }
}

async fn answer(
    State(double): State<Double>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let json: Json = serde_json::from_slice(&body).unwrap_or_default();
    let fault = {
        let mut inner = double.inner();
        inner.requests.push(json!({
            "line": format!("{method} {uri}"),
            "token": header("x-vault-token"),
            "request": header("x-vault-request"),
            "namespace": header("x-vault-namespace"),
            "type": header("content-type"),
            "body": json,
        }));
        let path = uri.path();
        let fault = inner.faults.iter_mut().find(|(on, _, left)| path.contains(on) && *left > 0);
        fault.map(|(_, fault, left)| {
            *left -= 1;
            *fault
        })
    };
    match fault {
        None => {}
        Some(Fault::Status(status)) => return refusal(status, "it is a fault of the test"),
        Some(Fault::Malformed) => return r#"{"data": {"data": {"value": "canary"#.into_response(),
        Some(Fault::Slow) => tokio::time::sleep(Duration::from_secs(600)).await,
        Some(Fault::Redirect) => {
            let to = [(header::LOCATION, "/v1/elsewhere")];
            return (StatusCode::TEMPORARY_REDIRECT, to).into_response();
        }
        Some(Fault::Giant) => {
            let pieces =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65536]));
            return Body::from_stream(pieces).into_response();
        }
        Some(Fault::Echo) => {
            let token = header("x-vault-token").unwrap_or_default();
            return refusal(500, &format!("what is {token} with {}", body.escape_ascii()));
        }
    }
    if header("x-vault-request").as_deref() != Some("true") {
        return refusal(400, "missing required header");
    }
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8().unwrap();
    let token = header("x-vault-token");
    let answer = match (method.as_str(), path.split_once("/v1/").map(|(_, path)| path)) {
        ("PUT", Some("auth/jwt-tenants/login")) if token.is_none() => double.log_in(&json).await,
        ("PUT", Some("auth/jwt-tenants/login")) => Err((400, "there is a token")),
        (_, Some(path)) => double.as_somebody(token, &method, path, uri.query(), &json),
        _ => Err((404, "no handler for route")),
    };
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err((status, why)) => refusal(status, why),
    }
}

fn refusal(status: u16, why: &str) -> Response {
    let errors = if why.is_empty() { json!([]) } else { json!([why]) };
    (StatusCode::from_u16(status).unwrap(), axum::Json(json!({ "errors": errors }))).into_response()
}

type Answer = Result<Json, (u16, &'static str)>;

impl Double {
    async fn log_in(&self, body: &Json) -> Answer {
        if body["role"] != "tenant" {
            return Err((400, "role could not be found"));
        }
        let keys = VerifyingKeys::from_pems([("k", PUBLIC.as_bytes())]).unwrap();
        let claims = keys.verify(&body["jwt"].as_str().unwrap().to_owned().into()).await;
        let claims = claims.map_err(|_| (400, "error validating token"))?;
        claims.check_time(Timestamp::now()).map_err(|_| (400, "token is expired"))?;
        let tenant = claims.tenant_id.ok_or((400, "claim \"relay.sh/tenant-id\" not found"))?;
        let domain = claims.domain_id.unwrap_or_default();
        let mut inner = self.inner();
        inner.logins += 1;
        let token = format!("caller-canary-token-{:08}", inner.logins);
        let grant = [format!("workflows/{tenant}/"), format!("connections/{domain}/")];
        inner.grants.insert(token.clone(), grant);
        Ok(json!({"auth": {"client_token": token, "lease_duration": inner.lease, "policies": []}}))
    }

    fn as_somebody(
        &self,
        token: Option<String>,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: &Json,
    ) -> Answer {
        let mut inner = self.inner();
        let token = token.unwrap_or_default();
        let is_root = token == ROOT;
        let is_allowed = |path: &str| {
            let granted = inner.grants.get(&token);
            is_root || granted.is_some_and(|all| all.iter().any(|one| path.starts_with(one)))
        };
        let denied = Err((403, "permission denied"));
        let (engine, rest) = path.split_once('/').unwrap_or((path, ""));
        let (part, rest) = rest.split_once('/').unwrap_or((rest, ""));
        match (engine, part, method.as_str(), query) {
            ("transit-tenants", "encrypt" | "decrypt", ..) if !is_root => denied,
            ("transit-tenants", "encrypt", "PUT", _) if rest == "metadata-api" => {
                let number = inner.sealed.len();
                inner.sealed.push((body["context"].clone(), body["plaintext"].clone()));
                Ok(json!({"data": {"ciphertext": format!("vault:v1:{number}"), "key_version": 1}}))
            }
            ("transit-tenants", "decrypt", "PUT", _) if rest == "metadata-api" => {
                let number =
                    body["ciphertext"].as_str().and_then(|text| text.strip_prefix("vault:v1:"));
                let number = number.and_then(|number| number.parse::<usize>().ok());
                let sealed = number.and_then(|number| inner.sealed.get(number));
                let opened = sealed.filter(|(context, _)| *context == body["context"]);
                let (_, plaintext) =
                    opened.ok_or((400, "cipher: message authentication failed"))?;
                Ok(json!({"data": {"plaintext": plaintext}}))
            }
            ("customers", "data", ..) if !is_allowed(rest) => denied,
            ("customers", "data", "GET", None) => match inner.entries.get(rest) {
                None => Err((404, "")),
                Some(data) => Ok(json!({"data": {"data": data, "metadata": {"version": 1}}})),
            },
            ("customers", "metadata", ..) if !is_allowed(&format!("{rest}/")) => denied,
            ("customers", "metadata", "GET", Some("list=true")) => {
                let prefix = format!("{rest}/");
                let below = inner.entries.keys().filter_map(|path| path.strip_prefix(&prefix));
                let names: BTreeSet<_> = below
                    .map(|path| match path.split_once('/') {
                        Some((folder, _)) => format!("{folder}/"),
                        None => path.to_owned(),
                    })
                    .collect();
                if names.is_empty() { Err((404, "")) } else { Ok(json!({"data": {"keys": names}})) }
            }
            ("auth", "token", "GET", None) if is_root && rest == "lookup-self" => {
                Ok(json!({"data": {"ttl": inner.lease, "renewable": true}}))
            }
            ("auth", "token", "PUT", _) if is_root && rest == "renew-self" => {
                inner.renewed += 1;
                Ok(json!({"auth": {"client_token": ROOT, "lease_duration": inner.lease}}))
            }
            _ => Err((404, "no handler for route")),
        }
    }
}
