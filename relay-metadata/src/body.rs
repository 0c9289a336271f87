//! Request bodies: reading them within limits, telling what they are, taking JSON apart.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use relay_core::{Number, Value};

use crate::error::ApiError;
use crate::router::{App, Limits};

/// A JSON body, whatever its `Content-Type` says.
pub(crate) struct Json(pub(crate) Value);

/// A body that is a value: JSON, or a string of raw bytes, as its `Content-Type` says.
pub(crate) struct Content(pub(crate) Value);

/// A body of bytes that says of itself that it is one.
pub(crate) struct Octets(pub(crate) Bytes);

impl FromRequest<App> for Octets {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let sent = media_type(request.headers()).unwrap_or_default();
        if !sent.eq_ignore_ascii_case("application/octet-stream") {
            return Err(ApiError::UnknownMediaType { media_type: sent });
        }
        read(request, app.limits).await.map(Self)
    }
}

impl FromRequest<App> for Json {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = read(request, app.limits).await?;
        parse(&bytes).map(Self)
    }
}

impl FromRequest<App> for Content {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let encoding = Encoding::of(request.headers())?;
        let bytes = read(request, app.limits).await?;
        Ok(Self(match encoding {
            Encoding::Json => parse(&bytes)?.decode_transfer().map_err(ApiError::malformed)?,
            Encoding::Raw => Value::from_bytes(&bytes),
        }))
    }
}

enum Encoding {
    Json,
    Raw,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(sent) = media_type(headers) else {
            return Ok(Self::Raw);
        };
        match sent.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "" | "text/plain" | "application/octet-stream" => Ok(Self::Raw),
            _ => Err(ApiError::UnknownMediaType { media_type: sent }),
        }
    }
}

/// The media type that a request says its body has, without parameters. Its case means nothing.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(header::CONTENT_TYPE)?;
    let sent = String::from_utf8_lossy(header.as_bytes());
    Some(sent.split(';').next().unwrap_or_default().trim().to_owned())
}

/// How much of a body is read and thrown away, so that a client which sends before it listens sees
/// the refusal and not a broken connection.
const DRAINED: usize = 8 << 20;

async fn read(request: Request, limits: Limits) -> Result<Bytes, ApiError> {
    let asks_first = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limits.body_size && (asks_first || declared > DRAINED) {
        return Err(too_large(limits));
    }
    let collected = tokio::time::timeout(limits.body_time, collect(body, limits)).await;
    collected.unwrap_or(Err(ApiError::BodyTimeout))
}

async fn collect(mut body: Body, limits: Limits) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::malformed("the body ends too early"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size = size.saturating_add(data.len());
        if size <= limits.body_size {
            bytes.extend_from_slice(&data);
        } else if size > DRAINED {
            break;
        }
    }
    if size > limits.body_size { Err(too_large(limits)) } else { Ok(bytes.into()) }
}

fn too_large(limits: Limits) -> ApiError {
    ApiError::BodyTooLarge { limit: i64::try_from(limits.body_size).unwrap_or(i64::MAX) }
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    Value::from_json(&String::from_utf8_lossy(bytes)).map_err(ApiError::malformed)
}

/// The members of a JSON object. Names match without regard to case, and a member that is null was
/// not given; likewise for a null in place of the object.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a>(Option<&'a relay_core::Map>);

impl<'a> Members<'a> {
    /// The members of this value.
    pub(crate) fn of(value: &'a Value) -> Result<Self, ApiError> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::Map(map) => Ok(Self(Some(map))),
            other => {
                Err(ApiError::malformed(format!("expected an object, not a {}", other.kind())))
            }
        }
    }

    /// A member, whatever it is.
    pub(crate) fn value(self, name: &str) -> Option<&'a Value> {
        let map = self.0?;
        let spelled_otherwise =
            || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        map.get(name).or_else(spelled_otherwise).filter(|value| !value.is_null())
    }

    fn typed<T>(
        self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let wrong = || ApiError::malformed(format!("the member {name:?} is not {expected}"));
        self.value(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    /// The members of a member that is an object.
    pub(crate) fn object(self, name: &str) -> Result<Option<Self>, ApiError> {
        self.typed(name, "an object", |value| Some(Self(Some(value.as_map()?))))
    }

    /// A member that is an object, as it stands.
    pub(crate) fn map(self, name: &str) -> Result<Option<&'a relay_core::Map>, ApiError> {
        self.typed(name, "an object", Value::as_map)
    }

    /// A member that is text.
    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A member that is a boolean.
    pub(crate) fn boolean(self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    /// A member that is written as an integer.
    pub(crate) fn integer(self, name: &str) -> Result<Option<i64>, ApiError> {
        self.typed(name, "an integer of 64 bits", |value| match value {
            Value::Number(Number::Int(integer)) => Some(*integer),
            _ => None,
        })
    }

    /// A member that is a time stamp of RFC 3339, with its zone.
    pub(crate) fn timestamp(self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.typed(name, "a time stamp of RFC 3339", |value| rfc3339(value.as_str()?))
    }
}

/// The parser takes more than RFC 3339 allows, such as times without seconds, and less: it knows no
/// more than nine digits of a second, and the calendar of its time stamps ends a day early.
fn rfc3339(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let digits_and_marks = text.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        mark => byte == *mark,
    });
    let (time, rest) = text.split_at_checked(SHAPE.len())?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(digits) => {
            let zone = digits.trim_start_matches(|c: char| c.is_ascii_digit());
            (digits.strip_suffix(zone).filter(|fraction| !fraction.is_empty())?, zone)
        }
        None => ("0", rest),
    };
    let zoned = match zone.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', tens, ones, b':', _, _] => [*tens, *ones] < *b"24",
        _ => false,
    };
    // A leap second is none that can be told apart from the next.
    if !digits_and_marks || !zoned || time.ends_with("60") {
        return None;
    }
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let late = || time.parse::<DateTime>().is_ok_and(|time| time.year() == 9999);
    let parsed = format!("{time}.{fraction}{zone}").parse();
    parsed.ok().or_else(|| late().then_some(Timestamp::MAX))
}
