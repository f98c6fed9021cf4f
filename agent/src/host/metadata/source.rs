//! Who is asked for pods: the kubelet (`/pods`), or the API server (`/api/v1/pods`, of this node, as metadata alone).
//!
//! One GET over a connection of its own for each call, so that a token or certificate that was replaced is the new one. No
//! redirect is followed: the token goes where the configuration says, and there only over TLS.

use super::Metadata;
use super::list::{self, Unusable};
use crate::config::{self, Certificate, PodSource, node_name};
use crate::host::inquiry::Question;
use crate::https::{Scheme, Trust, Version, connector, reason};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

/// From connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest list that is read. A pod is some 10 KB in the kubelet's, and a node has at most some hundred.
const LIST_BYTES: usize = 32 << 20;

/// Where they are, where the configuration does not say.
const KUBELET: &str = "https://$NODE_IP:10250";
const API: &str = "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT";
/// What may stand in an address, behind a dollar.
const VARIABLES: [&str; 3] = ["NODE_IP", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];

/// Metadata alone: environments and the like do not leave the API server.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";
const AGENT: &str = concat!("inferscope/", env!("CARGO_PKG_VERSION"));

/// Who is asked, and with what.
#[derive(Clone, Debug)]
pub struct Source {
    who: Who,
    uri: Uri,
    node: Option<Arc<str>>,
    keys: Vec<String>,
    token: String,
    ca: String,
    certificate: Certificate,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The kubelet of this node.
    Kubelet,
    /// The API server.
    Api,
}

/// What the configuration leaves to the environment, and is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pods.metadata: {0}")]
pub struct Unsaid(String);

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A file of ours.
    #[error("{0}")]
    File(String),
    /// Nobody is there, or it is not who it should be.
    #[error("{0}")]
    Unreachable(String),
    /// Not in time.
    #[error("no answer in {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The token was not accepted.
    #[error("the token is not accepted (401){0}")]
    Unauthorized(&'static str),
    /// The token's account may not.
    #[error("{}", .0.missing())]
    Forbidden(Who),
    /// It sends elsewhere.
    #[error("a redirect ({0}), which is not followed")]
    Redirect(u16),
    /// It says something else.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Longer than any list.
    #[error("an answer longer than {} MiB", LIST_BYTES >> 20)]
    TooLong,
    /// Something else.
    #[error("{0}")]
    Unusable(#[from] Unusable),
}

impl Who {
    /// Which right the account lacks, and how it gets it.
    const fn missing(self) -> &'static str {
        match self {
            Who::Kubelet => {
                "this account may not read the kubelet's pods (403): it needs `get` on nodes/pods from Kubernetes 1.33 on, or \
                 on nodes/proxy before; the chart's pods.metadata.source=kubelet gives it"
            }
            Who::Api => {
                "this account may not list pods (403): it needs `list` on pods; the chart's pods.metadata.source=api gives it"
            }
        }
    }
}

impl Source {
    /// What the configuration says; `None` where nobody is to be asked.
    ///
    /// # Errors
    /// Where it leaves something to a variable of the environment that isn't there.
    pub fn new(config: &config::Metadata, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Source>, Unsaid> {
        let config::Metadata { source, labels, token, ca, certificate, .. } = config;
        let node = node(config, &variable);
        let (who, uri) = match source {
            PodSource::None => return Ok(None),
            PodSource::Kubelet => (Who::Kubelet, format!("{}/pods", address(config, KUBELET, &variable)?)),
            PodSource::Api => {
                let node = node.as_ref().ok_or_else(|| {
                    Unsaid("`node` is not set, and NODE_NAME of the environment is no node's name".to_owned())
                })?;
                let server = address(config, API, &variable)?;
                // From the API server's cache: as new as a watch, and its store is not asked. Such an answer is always a
                // whole one, so there are no pages to ask for.
                let wanted = format!("fieldSelector=spec.nodeName%3D{node}&resourceVersion=0");
                (Who::Api, format!("{server}/api/v1/pods?{wanted}"))
            }
        };
        let uri = uri.parse().map_err(|_| Unsaid(format!("{uri} is no address")))?;
        let (keys, token, ca) = (labels.0.clone(), token.clone(), ca.clone());
        Ok(Some(Source { who, uri, node, keys, token, ca, certificate: *certificate }))
    }

    async fn get(&self) -> Result<Metadata, Refusal> {
        let scheme = Scheme::of(&self.uri);
        let trust = match self.certificate {
            Certificate::Verified => Trust::File(&self.ca),
            Certificate::Unverified => Trust::Anybody,
        };
        let connector =
            connector(scheme, Version::Http1, trust, None).map_err(|error| Refusal::File(error.to_string()))?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.uri.clone();
        let accept = if self.who == Who::Api { METADATA } else { JSON };
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if scheme == Scheme::Https && !self.token.is_empty() {
            request.headers_mut().insert(AUTHORIZATION, self.bearer()?);
        }
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let response = client.request(request).await.map_err(|error| Refusal::Unreachable(reason(&error)))?;
        self.judge(response.status())?;
        let body = Limited::new(response.into_body(), LIST_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Refusal::TooLong,
            Err(error) => Refusal::Unreachable(reason(&*error)),
        })?;
        let metadata = list::read(&body.to_bytes(), &self.keys)?;
        Ok(Metadata { node: self.node.clone(), ..metadata })
    }

    /// The token as it is now.
    fn bearer(&self) -> Result<HeaderValue, Refusal> {
        let wrong = |why: &dyn std::fmt::Display| Refusal::File(format!("{}: {why}", self.token));
        let token = std::fs::read_to_string(&self.token).map_err(|error| wrong(&error))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| wrong(&"there is no token in it"))?;
        // Debug output must not show it.
        value.set_sensitive(true);
        Ok(value)
    }

    fn judge(&self, status: StatusCode) -> Result<(), Refusal> {
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED if self.who == Who::Kubelet => Err(Refusal::Unauthorized(
                ": kubelets ask the API server about it only with --authentication-token-webhook",
            )),
            StatusCode::UNAUTHORIZED => Err(Refusal::Unauthorized("")),
            StatusCode::FORBIDDEN => Err(Refusal::Forbidden(self.who)),
            status if status.is_redirection() => Err(Refusal::Redirect(status.as_u16())),
            status => Err(Refusal::Status(status.as_u16())),
        }
    }
}

impl Question for Source {
    type Answer = Metadata;
    type Refusal = Refusal;

    async fn ask(&self) -> Result<Metadata, Refusal> {
        tokio::time::timeout(TIMEOUT, self.get()).await.unwrap_or(Err(Refusal::Timeout))
    }
}

fn node(config: &config::Metadata, variable: &impl Fn(&str) -> Option<String>) -> Option<Arc<str>> {
    let node = config.node.clone().or_else(|| variable("NODE_NAME"))?;
    node_name(&node).is_ok().then(|| node.as_str().into())
}

/// The configured address, else this, with the variables that stand in it.
fn address(
    config: &config::Metadata,
    default: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<String, Unsaid> {
    let mut address = config.address.as_deref().unwrap_or(default).trim_end_matches('/').to_owned();
    for name in VARIABLES {
        let placeholder = format!("${name}");
        if !address.contains(&placeholder) {
            continue;
        }
        let value =
            variable(name).ok_or_else(|| Unsaid(format!("{name} of the environment is not set, for {address}")))?;
        address = address.replace(&placeholder, &bracketed(&value));
    }
    Ok(address)
}

/// A host as addresses have it.
fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}
