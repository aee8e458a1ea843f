//! The API: parse, call a flow, answer.

pub mod auth;
pub mod dev;
pub mod dialects;
pub mod layers;
pub mod openapi;
pub mod problem;
pub mod server;

mod jwks;
pub mod ops;
mod public;
mod site;
mod v1;

use std::sync::Arc;

pub use self::site::Site;
pub use self::v1::notifications;
pub use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use self::auth::Verifier;
use crate::domain::caller::Caller;
use crate::domain::problem::Problem;
use crate::flow::App;

/// What every handler can reach.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The flows' app.
    pub app: Arc<App>,
    /// Whose tokens are believed.
    pub verifier: Arc<Verifier>,
    /// Where browsers find this API, and from which pages.
    pub site: Arc<Site>,
}

/// The bearer of the request's token.
#[derive(Debug)]
pub struct Bearer(pub Arc<Caller>);

impl FromRequestParts<Shared> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let now = shared.app.clock.now();
        shared.verifier.caller(&parts.headers, now).await.map(Self)
    }
}

/// Every route but `dev`'s, without the shell of [`layers::wrap`]. All are there twice when the
/// public URL has a path: with it and, behind a proxy that takes it off, without.
pub fn routes(shared: Shared) -> Router {
    let ops = ops::routes(Arc::clone(&shared.app));
    let path = shared.site.path().to_owned();
    let routes = Router::new()
        .nest("/v1", v1::routes())
        .merge(public::routes())
        .merge(dialects::routes())
        .merge(openapi::routes())
        .with_state(shared)
        .merge(ops);
    if path.is_empty() {
        routes
    } else {
        Router::new().nest(&path, routes.clone()).merge(routes)
    }
}
