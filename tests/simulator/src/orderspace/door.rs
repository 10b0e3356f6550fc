//! Who may use Orderspace's API: the site of an access token, within its throttle.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::door::Visit;
use crate::faults::Door;
use crate::orderspace::answers::{self, TokenRefusal};
use crate::site::Verdict;
use crate::world::World;

/// The site that a request was let in for, as a request extension.
#[derive(Clone)]
pub(crate) struct ClientId(pub(crate) String);

/// Lets an API request in for the site of its access token, or answers for it.
pub(crate) async fn admit(
    State(world): State<World>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some((client_id, token)) = bearer(request.headers())
        .and_then(|token| Some((world.site_of_token(token)?, token.to_owned())))
    else {
        return answers::unauthorized(TokenRefusal::Invalid);
    };
    let visit = Visit::new(&world, &client_id, &request);
    let fault = visit.fault(Door::Api);
    request.extensions_mut().insert(ClientId(client_id.clone()));
    let judged = async {
        let verdict = world.with_site(&client_id, |site| {
            let now = site.now();
            site.judge(&token, now)
        });
        match verdict {
            Some(Verdict::Serve) => next.run(request).await,
            Some(Verdict::TooMany) => answers::empty(StatusCode::TOO_MANY_REQUESTS),
            Some(Verdict::Expired) => answers::unauthorized(TokenRefusal::Expired),
            None => answers::unauthorized(TokenRefusal::Invalid),
        }
    };
    visit
        .answer(fault, judged, || {
            answers::unauthorized(TokenRefusal::Invalid)
        })
        .await
}

/// A request to a path that does not exist; it needs no token, but is logged for the site if it has one.
pub(crate) async fn lost(State(world): State<World>, request: Request) -> Response {
    let answer = answers::no_such_page().await;
    if let Some(client_id) = bearer(request.headers()).and_then(|token| world.site_of_token(token))
    {
        Visit::new(&world, &client_id, &request).log(Some(answer.status()));
    }
    answer
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
