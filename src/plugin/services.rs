//! The services beside the provider's own that a plugin host calls.
//!
//! Enters: go-plugin's stdio, broker and controller calls, and gRPC's health check. Leaves: one
//! decision, that the host wants the process to end. Refuses: nothing; what Terraform opens and
//! never uses stays open and silent.

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

#[allow(clippy::all, missing_docs, unreachable_pub)] // Generated code.
pub mod goplugin {
    //! go-plugin's services, generated from `proto/goplugin.proto`.
    tonic::include_proto!("plugin");
}

#[allow(clippy::all, missing_docs, unreachable_pub)] // Generated code.
pub mod health {
    //! gRPC's health service, generated from `proto/health.proto`.
    tonic::include_proto!("grpc.health.v1");
}

use goplugin::{ConnInfo, Empty, StdioData};
use health::HealthCheckResponse;
use health::health_check_response::ServingStatus;

/// The name under which go-plugin's hosts ask for a plugin's health.
const HEALTH_NAME: &str = "plugin";

/// A stream that says nothing and ends well when the process is about to end.
fn silence<T: Send + 'static>(ending: CancellationToken) -> BoxStream<T> {
    Box::pin(stream::pending().take_until(async move {
        ending.cancelled().await;
    }))
}

/// What the process prints beside its log. It prints nothing.
#[derive(Debug)]
pub struct Stdio {
    /// Cancelled when the process is about to end.
    pub ending: CancellationToken,
}

#[tonic::async_trait]
impl goplugin::grpc_stdio_server::GrpcStdio for Stdio {
    async fn stream_stdio(
        &self,
        _request: Request<()>,
    ) -> Result<Response<BoxStream<StdioData>>, Status> {
        Ok(Response::new(silence(self.ending.clone())))
    }
}

/// Where host and plugin would agree on further connections. Terraform makes none.
#[derive(Debug)]
pub struct Broker {
    /// Cancelled when the process is about to end.
    pub ending: CancellationToken,
}

#[tonic::async_trait]
impl goplugin::grpc_broker_server::GrpcBroker for Broker {
    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        // Reads what the host says, so that it is never held up, until the host is done.
        let heard = request
            .into_inner()
            .filter_map(|_| std::future::ready(None));
        let ending = self.ending.clone();
        let until = async move { ending.cancelled().await };
        Ok(Response::new(Box::pin(heard.take_until(until))))
    }
}

/// How the host ends the process.
#[derive(Debug)]
pub struct Controller {
    /// Cancelled by this service when the host asks for the end.
    pub shutdown_asked: CancellationToken,
}

#[tonic::async_trait]
impl goplugin::grpc_controller_server::GrpcController for Controller {
    async fn shutdown(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.shutdown_asked.cancel();
        Ok(Response::new(Empty {}))
    }
}

/// Healthy for as long as it answers.
#[derive(Debug)]
pub struct Health {
    /// Cancelled when the process is about to end.
    pub ending: CancellationToken,
}

/// The state of a service, if there is one of that name. The empty name means the whole server.
fn status_of(service: &str) -> Option<ServingStatus> {
    (service.is_empty() || service == HEALTH_NAME).then_some(ServingStatus::Serving)
}

#[tonic::async_trait]
impl health::health_server::Health for Health {
    async fn check(
        &self,
        request: Request<health::HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let status = status_of(&service)
            .ok_or_else(|| Status::not_found(format!("no service named {service:?}")))?;
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    async fn watch(
        &self,
        request: Request<health::HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckResponse>>, Status> {
        let status =
            status_of(&request.into_inner().service).unwrap_or(ServingStatus::ServiceUnknown);
        let now = stream::once(std::future::ready(Ok(HealthCheckResponse {
            status: status.into(),
        })));
        Ok(Response::new(Box::pin(
            now.chain(silence(self.ending.clone())),
        )))
    }
}
