//! The error catalogue (`metadata-api.md` §2), as one table. Everything that is said about an
//! error, its status, code, title, text and arguments, stands here once.

use axum::http::StatusCode;
use relay_core::Value;

/// One kind of error that the API answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The status of the answer.
    pub status: StatusCode,
    /// The code, by which programs tell errors apart: domain, section and name.
    pub code: &'static str,
    /// A heading.
    pub title: &'static str,
    /// The text, with `{{argument}}`, `{{pre argument}}` (between back-ticks), `{{quote argument}}`
    /// (between double quotes) or `{{list argument}}` (a line per item) where arguments go.
    pub template: &'static str,
    /// The names of the arguments.
    pub arguments: &'static [&'static str],
}

macro_rules! catalogue {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident $({ $($field:ident $argument:literal: $type:ty),+ })?
            => $status:ident, $code:literal, $title:literal, $template:literal;
    )+) => {
        /// What goes wrong in a request, as its sender gets to know it.
        #[derive(Clone, Debug)]
        pub(crate) enum ApiError {
            $($(#[doc = $doc])* $variant $({ $($field: $type),+ })?,)+
        }

        /// All errors that the API answers with.
        ///
        /// ```
        /// use relay_metadata::CATALOGUE;
        ///
        /// for entry in CATALOGUE {
        ///     println!("{} {}: {}", entry.status.as_u16(), entry.code, entry.title);
        /// }
        /// ```
        pub const CATALOGUE: &[Entry] = &[$(
            Entry {
                status: StatusCode::$status,
                code: $code,
                title: $title,
                template: $template,
                arguments: &[$($($argument),+)?],
            },
        )+];

        impl ApiError {
            /// The entry of this error.
            pub(crate) fn entry(&self) -> &'static Entry {
                match self {
                    $(Self::$variant { .. } => &Entry {
                        status: StatusCode::$status,
                        code: $code,
                        title: $title,
                        template: $template,
                        arguments: &[$($($argument),+)?],
                    },)+
                }
            }

            /// The arguments by name, in the order of the entry.
            pub(crate) fn arguments(&self) -> Vec<(&'static str, Value)> {
                match self {
                    $(Self::$variant $({ $($field),+ })? => {
                        vec![$($(($argument, Value::from($field.clone()))),+)?]
                    })+
                }
            }
        }
    };
}

catalogue! {
    /// The one refusal, whatever is wrong with the credential.
    Unauthenticated
        => UNAUTHORIZED, "rma_api_authentication_error", "Unauthorized",
        "The provided credential information did not authenticate this request.";
    /// A body of a type that the endpoint does not take.
    UnknownMediaType { media_type "mediaType": String }
        => UNPROCESSABLE_ENTITY, "rma_api_unknown_request_media_type_error", "Unknown media type",
        "We don't know how to decode a request body with media type {{pre mediaType}}.";
    /// A body that is not what the endpoint takes.
    Malformed { problem "error": String }
        => UNPROCESSABLE_ENTITY, "rma_api_malformed_request_error", "Malformed request",
        "The request body you provided could not be deserialized.";
    /// A body above the limit.
    BodyTooLarge { limit "limit": i64 }
        => PAYLOAD_TOO_LARGE, "rma_api_request_too_large_error", "Request too large",
        "The request body must not be larger than {{limit}} bytes.";
    /// A body that does not arrive.
    BodyTimeout
        => REQUEST_TIMEOUT, "rma_api_request_timeout_error", "Request timeout",
        "The request body did not arrive in time.";
    /// Work that does not end.
    Timeout
        => SERVICE_UNAVAILABLE, "rma_api_timeout_error", "Timeout",
        "The request could not be handled in time. It may be sent again.";
    /// A defect of the service.
    Internal
        => INTERNAL_SERVER_ERROR, "rma_api_internal_error", "Internal error",
        "The request could not be handled because of an error in this service.";
    /// Nothing by this name.
    NotFound
        => NOT_FOUND, "rma_model_not_found_error", "Not found",
        "The resource you requested does not exist.";
    /// A store that this caller does not have.
    Forbidden
        => FORBIDDEN, "rma_model_authorization_error", "Unauthorized",
        "You are not authorized to access this resource.";
    /// A name or value that no store takes.
    Unstorable { problem "error": String }
        => UNPROCESSABLE_ENTITY, "rma_model_unstorable_error", "Unstorable resource",
        "This resource cannot be stored.\n{{error}}";
    /// A value that does not fit into what is left of its store.
    StoreFull { size "size": i64 }
        => PAYLOAD_TOO_LARGE, "rma_model_too_large_error", "Resource too large",
        "This resource needs {{size}} bytes, which is more than its store has left.";
    /// A store that fails to read.
    Read
        => INTERNAL_SERVER_ERROR, "rma_model_read_error", "Read error",
        "We could not read this resource.";
    /// A store that fails to write.
    Write
        => INTERNAL_SERVER_ERROR, "rma_model_write_error", "Write error",
        "We could not persist this resource.";
    /// An event that its receiver did not take.
    Undelivered
        => BAD_GATEWAY, "rma_model_write_error", "Write error",
        "We could not persist this resource.";
    /// An expression that has no value.
    Evaluation { problem "error": String }
        => UNPROCESSABLE_ENTITY, "rma_expression_evaluation_error", "Evaluation error",
        "We could not evaluate this resource expression.\n{{error}}";
    /// References without a value; only ever part of a message.
    Unresolvable { problems "errors": Vec<Value> }
        => UNPROCESSABLE_ENTITY, "rma_expression_unresolvable_error", "Unresolvable",
        "We could not fully evaluate this resource expression:\n{{list errors}}";
    /// A query in a language that nobody speaks.
    UnsupportedLanguage { language "language": String }
        => UNPROCESSABLE_ENTITY, "rma_expression_unsupported_language_error",
        "Unsupported query language", "We don't know the query language {{quote language}}.";
    /// A condition that is no boolean.
    ConditionType { kind "type": String }
        => UNPROCESSABLE_ENTITY, "rma_condition_type_error", "Type error",
        "A condition must evaluate to a single boolean value or a list of boolean values, but your condition provided a {{pre type}}.";
    /// An image whose name says nothing of its schema.
    ImageParse
        => UNPROCESSABLE_ENTITY, "rma_action_image_parse_error", "Image parse error",
        "failed to parse the image and tag string for the container action.";
}
