//! What is refused before the S3 library sees it, because the library would let it
//! pass and S3 does not.

use http::header::{AUTHORIZATION, CONTENT_TYPE, RANGE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use s3s::Body;
use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::domain::time::{Seconds, Timestamp};

/// A presigned URL lives for at most a week.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
const LONGEST: i64 = 604_800;

/// How far ahead of ours a signer's clock may be.
const SKEW: Seconds = Seconds(900);

/// An answer in S3's error format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// Holds nothing that XML would have to escape.
    pub(super) message: &'static str,
}

impl Refusal {
    pub(super) fn response(self) -> Response<Body> {
        let Self {
            status,
            code,
            message,
        } = self;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let xml = HeaderValue::from_static("application/xml");
        response.headers_mut().insert(CONTENT_TYPE, xml);
        response
    }
}

const fn refusal(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        message,
    }
}

/// Judges a request's head, and adapts it where the library reads it otherwise than
/// S3: checksums and metadata in a signed query become headers, and a malformed
/// `Range` is ignored (RFC 9110 §14.2). `strict`: an `x-amz-` header has to be signed.
pub(super) fn admit(
    parts: &mut Parts,
    region: &str,
    now: Timestamp,
    strict: bool,
) -> Result<(), Refusal> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(refusal(
            StatusCode::LENGTH_REQUIRED,
            "MissingContentLength",
            "A body is sent with its Content-Length and not with Transfer-Encoding.",
        ));
    }
    let signed = Signed::of(parts, &query)?;
    signed.judge(region, now)?;
    let names = parts.headers.keys().map(HeaderName::as_str);
    if strict
        && names
            .filter(|name| name.starts_with("x-amz-"))
            .any(|name| !signed.covers(name))
    {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "There were x-amz- headers present in the request which were not signed.",
        ));
    }
    if matches!(signed, Signed::Query { .. }) {
        hoisted(&query, &mut parts.headers)?;
    }
    let range = parts.headers.get(RANGE).map(HeaderValue::to_str);
    if range.is_some_and(|range| !range.is_ok_and(|range| s3s::dto::Range::parse(range).is_ok())) {
        parts.headers.remove(RANGE);
    }
    Ok(())
}

/// What of a request its signature covers, as far as it matters here.
enum Signed {
    Query {
        credential: String,
        date: String,
        expires: String,
        headers: Vec<String>,
    },
    Header {
        credential: String,
        headers: Vec<String>,
    },
    /// A form, whose signature is in its body and covers no header; or nothing.
    NoHead,
}

const BAD_QUERY: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "AuthorizationQueryParametersError",
    "The X-Amz- query parameters are incomplete, malformed, or for another region.",
);

impl Signed {
    fn of(parts: &Parts, query: &Query) -> Result<Self, Refusal> {
        let authorization = parts.headers.get(AUTHORIZATION);
        let presigned = query.get("X-Amz-Signature").is_some();
        let second = query.get("AWSAccessKeyId").is_some() || query.get("Signature").is_some();
        if presigned && authorization.is_some() {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "InvalidArgument",
                "Only one auth mechanism allowed.",
            ));
        }
        if is_form(parts) {
            return Ok(Self::NoHead);
        }
        if presigned {
            let field = |name| query.get(name).map(ToOwned::to_owned).ok_or(BAD_QUERY);
            return Ok(Self::Query {
                credential: field("X-Amz-Credential")?,
                date: field("X-Amz-Date")?,
                expires: field("X-Amz-Expires")?,
                headers: listed(&field("X-Amz-SignedHeaders")?),
            });
        }
        let Some(authorization) = authorization else {
            return if second {
                Err(VERSION_2)
            } else {
                Ok(Self::NoHead)
            };
        };
        let text = authorization.to_str().unwrap_or_default();
        let Some(fields) = text.strip_prefix("AWS4-HMAC-SHA256") else {
            return Err(VERSION_2);
        };
        let field = |name: &str| {
            let mut fields = fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            let value = fields
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value);
            value.unwrap_or_default().to_owned()
        };
        Ok(Self::Header {
            credential: field("Credential"),
            headers: listed(&field("SignedHeaders")),
        })
    }

    /// The rules on region and time; the signature itself is the library's to check.
    fn judge(&self, region: &str, now: Timestamp) -> Result<(), Refusal> {
        match self {
            Self::NoHead => Ok(()),
            Self::Header { credential, .. } if region_of(credential) == Some(region) => Ok(()),
            Self::Header { .. } => Err(refusal(
                StatusCode::BAD_REQUEST,
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed or for another region.",
            )),
            Self::Query {
                credential,
                date,
                expires,
                ..
            } => {
                if region_of(credential) != Some(region) {
                    return Err(BAD_QUERY);
                }
                let from = moment(date).ok_or(BAD_QUERY)?;
                let span = expires
                    .parse::<i64>()
                    .ok()
                    .filter(|span| (1..=LONGEST).contains(span));
                let span = span.ok_or(BAD_QUERY)?;
                if from.seconds_until(now) > span {
                    return Err(refusal(
                        StatusCode::FORBIDDEN,
                        "AccessDenied",
                        "Request has expired",
                    ));
                }
                if from > now.plus(SKEW) {
                    return Err(refusal(
                        StatusCode::FORBIDDEN,
                        "AccessDenied",
                        "Request is not valid yet",
                    ));
                }
                Ok(())
            }
        }
    }

    fn covers(&self, header: &str) -> bool {
        match self {
            Self::Query { headers, .. } | Self::Header { headers, .. } => {
                headers.iter().any(|name| name == header)
            }
            Self::NoHead => false,
        }
    }
}

const VERSION_2: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "InvalidRequest",
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
);

fn is_form(parts: &Parts) -> bool {
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    parts.method == Method::POST && kind.starts_with("multipart/form-data")
}

fn listed(headers: &str) -> Vec<String> {
    headers.split(';').map(ToOwned::to_owned).collect()
}

/// The region in `<key>/<date>/<region>/s3/aws4_request`.
fn region_of(credential: &str) -> Option<&str> {
    credential.rsplit('/').nth(2)
}

/// A moment as `X-Amz-Date` writes it.
fn moment(date: &str) -> Option<Timestamp> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = PrimitiveDateTime::parse(date, format).ok()?.assume_utc();
    Some(Timestamp::from_millis(at.unix_timestamp() * 1000))
}

/// Copies what presigners put into the query, where it is signed, to the headers.
fn hoisted(query: &Query, headers: &mut HeaderMap) -> Result<(), Refusal> {
    for (name, value) in &query.0 {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-checksum-") && !name.starts_with("x-amz-meta-") {
            continue;
        }
        // It is a query parameter of GET and HEAD otherwise.
        if name == "x-amz-checksum-mode" {
            continue;
        }
        let name = HeaderName::try_from(name).map_err(|_| BAD_QUERY)?;
        let value = HeaderValue::try_from(value).map_err(|_| BAD_QUERY)?;
        if headers.get(&name).is_some_and(|there| *there != value) {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "InvalidRequest",
                "A parameter says one thing in the query and another in the headers.",
            ));
        }
        headers.insert(name, value);
    }
    Ok(())
}

/// The parameters of a query string, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(
            pairs
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const NOW: i64 = 1_732_192_496;

    fn presigned(date: &str, expires: &str, region: &str, more: &str) -> String {
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20241121%2F{region}%2Fs3%2Faws4_request\
             &X-Amz-Date={date}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host%3Bx-amz-meta-a&X-Amz-Signature=0{more}"
        )
    }

    fn judged(method: &str, uri: &str, headers: &[(&str, &str)]) -> (&'static str, Parts) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let now = Timestamp::from_millis(NOW * 1000);
        let refused = admit(&mut parts, "eu-x", now, true).err();
        (refused.map_or("", |refusal| refusal.code), parts)
    }

    #[test]
    fn a_presigned_url_is_for_this_region_and_this_time() {
        let cases = [
            ("20241121T123456Z", "300", "eu-x", ""),
            ("20241121T122956Z", "300", "eu-x", ""),
            ("20241121T122955Z", "300", "eu-x", "AccessDenied"),
            ("20241121T124956Z", "300", "eu-x", ""),
            ("20241121T124957Z", "300", "eu-x", "AccessDenied"),
            ("20241121T123456Z", "604800", "eu-x", ""),
            (
                "20241121T123456Z",
                "604801",
                "eu-x",
                "AuthorizationQueryParametersError",
            ),
            (
                "20241121T123456Z",
                "-1",
                "eu-x",
                "AuthorizationQueryParametersError",
            ),
            (
                "20241121T123456Z",
                "300",
                "us-y",
                "AuthorizationQueryParametersError",
            ),
            (
                "yesterday",
                "300",
                "eu-x",
                "AuthorizationQueryParametersError",
            ),
        ];
        for (date, expires, region, expected) in cases {
            let code = judged("PUT", &presigned(date, expires, region, ""), &[]).0;
            assert_eq!(code, expected, "{date} {expires} {region}");
        }
    }

    /// Method, URI, headers; the refusal's code or nothing.
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

    #[test]
    fn an_x_amz_header_outside_the_signature_is_refused_however_it_is_signed() {
        let url = presigned("20241121T123456Z", "300", "eu-x", "");
        let header = "AWS4-HMAC-SHA256 Credential=AK/20241121/eu-x/s3/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=0";
        let cases: [Case<'_>; 8] = [
            (
                "PUT",
                &url,
                &[("x-amz-meta-a", "1"), ("content-type", "a/b")],
                "",
            ),
            (
                "PUT",
                &url,
                &[("x-amz-copy-source", "/b/secret")],
                "AccessDenied",
            ),
            ("PUT", &url, &[("x-amz-meta-b", "1")], "AccessDenied"),
            ("PUT", &url, &[("authorization", header)], "InvalidArgument"),
            (
                "PUT",
                "/b/k",
                &[("authorization", header), ("x-amz-date", "d")],
                "",
            ),
            (
                "PUT",
                "/b/k",
                &[("authorization", header), ("x-amz-acl", "x")],
                "AccessDenied",
            ),
            (
                "POST",
                "/b",
                &[("content-type", "multipart/form-data; boundary=x")],
                "",
            ),
            (
                "POST",
                "/b",
                &[
                    ("content-type", "Multipart/Form-Data; boundary=x"),
                    ("x-amz-acl", "x"),
                ],
                "AccessDenied",
            ),
        ];
        for (method, uri, headers, expected) in cases {
            assert_eq!(
                judged(method, uri, headers).0,
                expected,
                "{uri} {headers:?}"
            );
        }
    }

    #[test]
    fn version_2_signatures_and_chunked_bodies_are_refused() {
        let url = presigned("20241121T123456Z", "300", "eu-x", "");
        let chunked: &[(&str, &str)] = &[("transfer-encoding", "chunked")];
        assert_eq!(judged("PUT", &url, chunked).0, "MissingContentLength");
        assert_eq!(
            judged("GET", "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", &[]).0,
            "InvalidRequest"
        );
        assert_eq!(
            judged("GET", "/b/k", &[("authorization", "AWS a:b")]).0,
            "InvalidRequest"
        );
    }

    #[test]
    fn a_checksum_in_the_query_becomes_a_header_and_a_bad_range_is_forgotten() {
        let url = presigned(
            "20241121T123456Z",
            "300",
            "eu-x",
            "&x-amz-checksum-sha256=ab%2Bc%3D",
        );
        let parts = judged("PUT", &url, &[("range", "bytes=abc")]).1;
        assert_eq!(parts.headers["x-amz-checksum-sha256"], "ab+c=");
        assert!(!parts.headers.contains_key(RANGE));
        let parts = judged("GET", "/b/k", &[("range", "bytes=0-1")]).1;
        assert!(parts.headers.contains_key(RANGE));
    }
}
