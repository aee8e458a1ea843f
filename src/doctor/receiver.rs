//! Where events go.

use serde_json::json;

use super::Patient;
use super::finding::{Finding, Group};
use crate::clock::Clock;
use crate::domain::outbox::{Answer, Next, complaint, next};

const GROUP: Group = Group::Events;

/// Sends a signed `webhook.test`, which is no event: it has no row and no second try.
pub(super) async fn examine(patient: &Patient) -> Finding {
    let receiver = match &patient.receiver {
        None => {
            return Finding::pass(
                GROUP,
                "webhook",
                "there is no [webhook]: events stay in the outbox and go to nobody",
            );
        }
        Some(Err(why)) => {
            return Finding::fail(GROUP, "webhook", why.clone(), "correct [webhook] url");
        }
        Some(Ok(receiver)) => receiver,
    };
    let now = Clock::System.now();
    let body = json!({"type": "webhook.test", "timestamp": now, "data": {}}).to_string();
    let answer = receiver.send(patient.run, &body, now).await;
    if next(&answer, 1, patient.run) == Next::Delivered {
        return Finding::pass(GROUP, "webhook", "the receiver took a signed webhook.test");
    }
    let why = complaint(&answer).unwrap_or_default();
    let (seen, fix) = match &answer {
        Answer::None(_) => (
            format!("the receiver does not answer: {why}"),
            "is it running, and [webhook] url right? Events wait for it and are tried for 75 hours",
        ),
        Answer::Status { status, .. } => (
            format!("the receiver answers {status}: {why}"),
            "it has to answer a good signature with a 2xx: check its secret and its log, then \
             `putgate webhook test`",
        ),
    };
    Finding::fail(GROUP, "webhook", seen, fix)
}
