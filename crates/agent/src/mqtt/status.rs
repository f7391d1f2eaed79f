//! The section `mqtt` of the status.

use periwinkle_core::mqtt::codec::Reason;
use periwinkle_core::mqtt::outbox::Counts;
use periwinkle_core::time::{Mono, UnixMillis};
use serde_json::{Value, json};

use super::client::Mqtt;
use super::state::ConnectionState;

impl Mqtt {
    /// How the connection stands, what waits, what became of messages, and the last connections.
    pub(crate) fn show(&self) -> Value {
        let connection = self.connection().borrow().clone();
        let why = match &connection {
            ConnectionState::Offline { why } => why.clone(),
            _ => None,
        };
        let state = self.shared.lock();
        let outbox = state.session.outbox();
        let millis = |at: Mono| at.since_start().as_millis() as u64;
        let now = self.shared.clock.now();
        // What the wall clock says now counts, which is right when it was not then.
        let wall = |at: Mono| {
            let ago = i64::try_from(now.mono.since(at).as_millis()).unwrap_or(i64::MAX);
            Some(UnixMillis(now.wall?.0.saturating_sub(ago)).iso())
        };
        let refused = state.readers.refused();
        let refused = refused.map(|(filter, reason)| {
            json!({"filter": filter, "reason": reason.to_string(), "code": reason.code()})
        });
        let history = state.history.iter().map(|past| {
            json!({
                "began_ms": millis(past.began),
                "began_at": wall(past.began),
                "lasted_ms": past.lasted.map(|lasted| lasted.as_millis() as u64),
                "end": past.end,
            })
        });
        json!({
            "state": connection.as_str(),
            "why": why.as_ref().map(ToString::to_string),
            "why_kind": why.as_ref().map(|why| why.kind().as_str()),
            "why_code": why.and_then(|why| why.kind().reason()).map(Reason::code),
            "broker": self.shared.broker,
            "client_id": state.session.client_id(),
            "version": state.session.version().to_string(),
            "queue": {
                "messages": outbox.len(),
                "bytes": outbox.bytes(),
                "in_flight": outbox.in_flight(),
            },
            "counts": show_counts(&outbox.counts()),
            "connections": state.connections,
            "received": state.received,
            "subscriptions": state.readers.len(),
            "refused_subscriptions": refused.collect::<Vec<Value>>(),
            "missed": state.readers.missed(),
            "too_long": state.session.too_long(),
            "unclaimed": {
                "messages": state.readers.unclaimed().len(),
                "bytes": state.readers.unclaimed().bytes(),
                "dropped": state.readers.unclaimed().dropped(),
            },
            "questions": state.questions.requests.len(),
            "rules": {
                "published": state.carried.published,
                "unpublishable": state.carried.unpublishable,
                "refused": state.carried.refused,
                "items": state.carried.items,
                "no_item": state.carried.no_item,
                "gaps": state.carried.gaps,
            },
            "history": history.collect::<Vec<Value>>(),
        })
    }
}

fn show_counts(counts: &Counts) -> Value {
    json!({
        "accepted": counts.accepted,
        "refused": counts.refused,
        "completed": counts.completed,
        "rejected": counts.rejected,
        "spilled": counts.spilled,
        "dropped": {
            "overflow": counts.overflowed.iter().sum::<u64>() - counts.overflowed_durable,
            "overflow_durable": counts.overflowed_durable,
            "expired": counts.expired,
            "too_old": counts.too_old,
            "unsendable": counts.unsendable,
            "storage": counts.storage,
        },
    })
}
