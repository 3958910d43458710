//! The way to a cluster's API: by the configuration's own HTTP client, by a kubeconfig file, or from inside.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use client::{Client as HttpClient, ClientError};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower_service::Service;

use super::config::KubernetesSdConfig;
use crate::discovery::Context;

/// What a client does when a namespace isn't named; here one always is.
const ANY_NAMESPACE: &str = "default";

/// A cluster's API.
pub(super) struct Access {
    pub(super) client: kube::Client,
    /// The namespace that the program runs in, if it runs in the cluster.
    pub(super) own_namespace: Option<String>,
}

impl Access {
    /// Finds the way that the configuration asks for.
    pub(super) async fn open(config: &KubernetesSdConfig, context: &Context) -> Result<Self, String> {
        if !config.api_server.is_empty() {
            let requests = Requests::new(config, context).map_err(|error| error.to_string())?;
            let client = kube::Client::new(requests, ANY_NAMESPACE);
            return Ok(Access { client, own_namespace: None });
        }
        let (cluster, own_namespace) = if config.kubeconfig_file.is_empty() {
            let cluster = kube::Config::incluster()
                .map_err(|error| format!("unable to load in-cluster configuration: {error}"))?;
            let namespace = cluster.default_namespace.clone();
            (cluster, Some(namespace))
        } else {
            let file = Kubeconfig::read_from(&config.kubeconfig_file).map_err(|error| error.to_string())?;
            let cluster = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            (cluster.map_err(|error| error.to_string())?, None)
        };
        let client = kube::Client::try_from(cluster).map_err(|error| error.to_string())?;
        Ok(Access { client, own_namespace })
    }
}

/// Sends the requests of `kube` by the configuration's own client, which has its credentials, proxies and headers.
struct Requests {
    client: Arc<HttpClient>,
    base: String,
}

impl Requests {
    fn new(config: &KubernetesSdConfig, context: &Context) -> Result<Self, ClientError> {
        let options = client::Options { name: "kubernetes_sd".to_owned(), ..context.client.clone() };
        let client = Arc::new(HttpClient::new(&config.http_client, options)?);
        Ok(Requests { client, base: config.api_server.trim_end_matches('/').to_owned() })
    }
}

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = Arc::clone(&self.client);
        let base = self.base.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            parts.uri = format!("{base}{path}").parse()?;
            let body = body.collect().await?.to_bytes();
            Ok(client.send(Request::from_parts(parts, body)).await?)
        })
    }
}
