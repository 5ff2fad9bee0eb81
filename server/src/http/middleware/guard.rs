//! Who may ask for what. Decided before a body is read.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::access::{Access, Caller, Role};
use crate::http::connection::ConnectionState;
use crate::http::problem::{ApiError, Code};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Requirement {
    /// No key.
    Public,
    /// A key, whatever its role.
    AnyKey,
    /// A key with this role.
    Role(Role),
}

/// The first row whose start fits counts.
const REQUIREMENTS: &[(&str, Requirement)] = &[
    ("/health/", Requirement::Public),
    ("/v2/health/", Requirement::Public),
    ("/inference.GRPCInferenceService/ServerLive", Requirement::Public),
    ("/inference.GRPCInferenceService/ServerReady", Requirement::Public),
    ("/inference.GRPCInferenceService/ModelInfer", Requirement::Role(Role::Infer)),
    ("/inference.GRPCInferenceService/ModelStreamInfer", Requirement::Role(Role::Infer)),
    ("/inference.GRPCInferenceService/RepositoryModel", Requirement::Role(Role::Admin)),
    ("/ping", Requirement::Public),
    ("/docs", Requirement::Public),
    ("/ui/", Requirement::Public),
    ("/openapi.json", Requirement::Public),
    ("/classify", Requirement::Role(Role::Infer)),
    ("/v2/models/{model}/infer", Requirement::Role(Role::Infer)),
    ("/v2/models/{model}/versions/{version}/infer", Requirement::Role(Role::Infer)),
    ("/v2/repository/models/", Requirement::Role(Role::Admin)),
    ("/v1/", Requirement::Role(Role::Infer)),
    ("/customvision/", Requirement::Role(Role::Infer)),
    ("/hf/", Requirement::Role(Role::Infer)),
    ("/invocations", Requirement::Role(Role::Infer)),
    ("/endpoints/", Requirement::Role(Role::Infer)),
    ("/predictions/", Requirement::Role(Role::Infer)),
    ("/finetune", Requirement::Role(Role::Train)),
    ("/evaluate", Requirement::Role(Role::Train)),
    ("/quantize", Requirement::Role(Role::Train)),
    ("/import", Requirement::Role(Role::Admin)),
    ("/datasets", Requirement::Role(Role::Train)),
    ("/feedback", Requirement::Role(Role::Infer)),
    ("/inbox", Requirement::Role(Role::Train)),
    ("/label-studio", Requirement::Role(Role::Train)),
    ("/models", Requirement::AnyKey),
    ("/metrics", Requirement::AnyKey),
    ("/", Requirement::AnyKey),
];

/// Routes that anybody with a key may read, and these alone may change.
const CHANGES: &[(&str, Role)] = &[("/models", Role::Admin), ("/default-model", Role::Admin)];

/// Lets a request through whose connection, host, origin, key and rate are in order.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let keys = state.access.keys();
    let secret = secret(request.headers(), request.uri().path());
    match check(&state.access, keys.caller(secret.as_deref()), &request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let mut response = error.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

fn check(access: &Access, caller: Option<Caller<'_>>, request: &Request) -> Result<(), ApiError> {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let requirement = requirement(route, request.method());
    let health = is_probe(request.uri().path());
    let reserve = request.extensions().get::<ConnectionState>().is_some_and(ConnectionState::of_reserve);
    if reserve && !health {
        return Err(Code::TooManyConnections.into());
    }
    // A load balancer asks by address, and the answer tells nothing.
    if health {
        return Ok(());
    }
    check_host(access, request)?;
    check_origin(access, request)?;
    let role = match requirement {
        Requirement::Public => return Ok(()),
        Requirement::AnyKey => None,
        Requirement::Role(role) => Some(role),
    };
    let caller = caller.ok_or(Code::Unauthorized)?;
    if let (Some(record), Some(name)) = (request.extensions().get::<RequestRecord>(), caller.name()) {
        record.set_caller(name);
    }
    // A refusal costs as well: it has its line in the log.
    caller.spend().map_err(|limited| ApiError::from(Code::RateLimited).retry_after(limited.retry_after))?;
    if let Some(role) = role.filter(|role| !caller.allows(*role)) {
        let detail = format!("the key `{}` has not the role `{}`", caller.name().unwrap_or_default(), role.name());
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    Ok(())
}

/// Whether supervisors and load balancers ask this address every few seconds.
pub(super) fn is_probe(path: &str) -> bool {
    let rpc = path.strip_prefix("/inference.GRPCInferenceService/");
    path.starts_with("/health/")
        || path.starts_with("/v2/health/")
        || path == "/ping"
        || rpc.is_some_and(|rpc| rpc == "ServerLive" || rpc == "ServerReady")
}

fn requirement(route: Option<&str>, method: &Method) -> Requirement {
    // An address that does not exist tells a stranger nothing but that.
    let Some(route) = route.filter(|route| *route != "/") else { return Requirement::Public };
    let change = CHANGES.iter().find(|(start, _)| !method.is_safe() && route.starts_with(start));
    if let Some((_, role)) = change {
        return Requirement::Role(*role);
    }
    REQUIREMENTS
        .iter()
        .find(|(start, _)| route.starts_with(start))
        .map_or(Requirement::AnyKey, |(_, requirement)| *requirement)
}

/// The key of a request: `Authorization: Bearer …`, `X-API-Key: …`, or the password of `Authorization: Basic …` for programs that
/// know no other way, as Label Studio. In this order: a proxy may have a basic authentication of its own. Two vendors' clients
/// can send none of these: Custom Vision's has `Prediction-Key`, Amazon's names its access key in the signature.
fn secret(headers: &HeaderMap, path: &str) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = |name: &str| {
        let (scheme, credentials) = authorization?.split_once(' ')?;
        scheme.eq_ignore_ascii_case(name).then(|| credentials.trim())
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let prediction_key = || text("prediction-key").filter(|_| path.starts_with("/customvision/"));
    let access_key = || {
        let amazon = path.starts_with("/endpoints/") || path == "/invocations";
        credentials("aws4-hmac-sha256").filter(|_| amazon).and_then(access_key)
    };
    let bearer = credentials("bearer").map(str::to_owned);
    bearer
        .or_else(|| text("x-api-key"))
        .or_else(prediction_key)
        .or_else(access_key)
        .or_else(|| credentials("basic").and_then(password))
}

/// The access key of `Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…`. The signature is not
/// looked at: the key is the secret here, and whoever knows it may sign as he likes.
fn access_key(credentials: &str) -> Option<String> {
    let credential = credentials.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
    credential.split('/').next().map(str::to_owned)
}

/// Of `USER:PASSWORD` in base64; `None` for anything else, which is no key.
fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(_user, password)| password.to_owned())
}

fn check_host(access: &Access, request: &Request) -> Result<(), ApiError> {
    // A proxy may have gone by another one of several (RFC 9112, 3.2).
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Err(ApiError::new(Code::InvalidParameter, "Host: the request names several hosts; name one"));
    }
    let Some(host) = host(request) else {
        // Programs that speak HTTP/1.0 need not name a host; browsers always do.
        return Ok(());
    };
    if access.hosts().allows(host) {
        return Ok(());
    }
    Err(ApiError::new(Code::HostNotAllowed, format!("the request names the host `{host}`")))
}

fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or("?"));
    request.uri().authority().map(|authority| authority.as_str()).or(header)
}

/// A page may send a form to another server without being asked for leave. Only pages of this server and of the listed
/// origins may change something.
fn check_origin(access: &Access, request: &Request) -> Result<(), ApiError> {
    let Some(origin) = request.headers().get(header::ORIGIN).filter(|_| request.method() != Method::GET) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or("?");
    let own = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    if own.is_some_and(|own| host(request) == Some(&own)) || access.origins().iter().any(|listed| listed == origin) {
        return Ok(());
    }
    Err(ApiError::new(Code::OriginNotAllowed, format!("the request comes from a page of `{origin}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_of(headers: &[(&'static str, &'static str)]) -> Option<String> {
        secret_at("/classify", headers)
    }

    fn secret_at(path: &str, headers: &[(&'static str, &'static str)]) -> Option<String> {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        secret(&pairs.collect(), path)
    }

    #[test]
    fn a_key_is_a_bearer_token_a_header_or_the_password_of_basic_authentication() {
        // `echo -n user:secret | base64`
        let (basic, header) = (("authorization", "Basic dXNlcjpzZWNyZXQ="), ("x-api-key", "other"));
        assert_eq!(secret_of(&[("authorization", "bearer  token ")]).as_deref(), Some("token"));
        assert_eq!(secret_of(&[header]).as_deref(), Some("other"));
        assert_eq!(secret_of(&[basic]).as_deref(), Some("secret"));
        assert_eq!(secret_of(&[basic, header]).as_deref(), Some("other"), "the basic authentication is a proxy's");
        assert_eq!(secret_of(&[("authorization", "Basic ???"), header]).as_deref(), Some("other"));
        assert_eq!(secret_of(&[("authorization", "Basic ???")]), None);
    }

    #[test]
    fn a_vendors_header_counts_where_its_clients_send_nothing_else() {
        let vision = [("prediction-key", "token")];
        let path = "/customvision/v3.1/prediction/0/classify/iterations/flowers/image";
        assert_eq!(secret_at(path, &vision).as_deref(), Some("token"));
        assert_eq!(secret_of(&vision), None, "elsewhere the header means nothing");
        // The form of Signature Version 4: "Credential=<access key>/<date>/<region>/<service>/aws4_request".
        let signature = [(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=token/20261130/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0",
        )];
        assert_eq!(secret_at("/endpoints/flowers/invocations", &signature).as_deref(), Some("token"));
        assert_eq!(secret_of(&signature), None);
    }
}
