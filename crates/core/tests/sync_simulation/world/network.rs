//! The way between the device and the table, and the table's side of it.

use super::{Event, SIGNATURE_VALID_MS, TABLE, World};
use crate::check::{Broken, broken};
use periwinkle_core::sync::machine::{Output, Reply, RequestId};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{attribute, json};
use periwinkle_testkit::dynamo::Answer;

impl World {
    pub(super) fn at(&mut self, delay: u64, event: Event) {
        self.next_event += 1;
        self.events
            .insert((self.now_ms + delay, self.next_event), event);
    }

    pub(super) fn happens(&mut self, event: Event) -> Result<(), Broken> {
        let now = self.now();
        match event {
            Event::Arrives {
                life,
                id,
                target,
                body,
                signed,
                sent,
                answered,
            } => {
                let answer = self.serve(&target, &body, signed, sent)?;
                let lost = !self.quiet && self.rng.percent(self.weather.lost_replies);
                if answered && !lost {
                    let delay = 5 + self.rng.below(60);
                    let date = self.server_ms() / 1000 * 1000;
                    self.at(
                        delay,
                        Event::Reply {
                            life,
                            id,
                            answer: Some(answer),
                            date,
                        },
                    );
                }
            }
            Event::Reply {
                life,
                id,
                answer,
                date,
            } if life == self.life => {
                let reply = match answer {
                    Some(answer) => {
                        self.tell(|| format!("reply {id:?} {}", answer.status));
                        self.memory.shown(&answer.body, self.now_ms);
                        let (status, body) = (answer.status, answer.body.into_bytes());
                        Reply::Answer {
                            status,
                            error_type: None,
                            body,
                        }
                    }
                    None => Reply::Lost("connection reset".to_owned()),
                };
                let date = Some(UnixMillis(date));
                self.machine
                    .handle_reply(id, reply, date, now, &self.store)
                    .expect("works");
            }
            Event::Durable { life, sequence } if life == self.life => {
                self.store.sync(sequence);
                self.machine
                    .handle_durable(sequence, now, &self.store)
                    .expect("works");
            }
            Event::Reply { .. } | Event::Durable { .. } => {}
        }
        Ok(())
    }

    pub(super) fn drain(&mut self) -> Result<(), Broken> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Flush(sequence) => {
                    let delay = 1 + self.rng.below(20);
                    self.at(
                        delay,
                        Event::Durable {
                            life: self.life,
                            sequence,
                        },
                    );
                }
                Output::ClockOffset(offset) => self.offset_ms = offset,
                Output::Alarm(reason) => self.alarms.push(reason.kind),
                Output::Send(id, request) => self.leaves(id, request.target, request.body)?,
            }
        }
        Ok(())
    }

    fn leaves(&mut self, id: RequestId, target: String, body: String) -> Result<(), Broken> {
        self.requests += 1;
        let on_their_way = self
            .events
            .values()
            .filter(|event| !matches!(event, Event::Durable { .. }));
        self.crowd = self.crowd.max(1 + on_their_way.count());
        self.tell(|| format!("sends {id:?} {target} {body}"));
        self.check_leaving(&target, &body)?;
        let signed = self.now().wall.map_or(0, |wall| wall.0) + self.offset_ms;
        let (life, sent) = (self.life, self.now_ms);
        let arrives = |answered| Event::Arrives {
            life,
            id,
            target: target.clone(),
            body: body.clone(),
            signed,
            sent,
            answered,
        };
        if self.quiet {
            self.at(10, arrives(true));
            return Ok(());
        }
        if self.rng.percent(self.weather.late_copies) {
            let delay = 15_000 + self.rng.below(270_000);
            self.at(delay, arrives(false));
        }
        if self.rng.percent(self.weather.lost_requests) {
            if self.rng.percent(50) {
                self.at(
                    50,
                    Event::Reply {
                        life,
                        id,
                        answer: None,
                        date: self.server_ms(),
                    },
                );
            }
        } else {
            let delay = 5 + self.rng.below(60);
            self.at(delay, arrives(true));
        }
        Ok(())
    }

    /// What leaves must be durable, and the same as the last time.
    fn check_leaving(&mut self, target: &str, body: &str) -> Result<(), Broken> {
        let Some(key) = written_key(target, body) else {
            return Ok(());
        };
        if key.sk.starts_with('~') || body.contains(r##""ConditionExpression":"#0 <= :0""##) {
            return Ok(());
        }
        let frozen = |record: Record| record.change.and_then(|change| change.frozen);
        let live = frozen(self.store.get(&key)).expect("what leaves is frozen");
        if frozen(self.store.durable_record(&key)) != Some(live.clone()) {
            return broken(format!("{key}: {} left before it was durable", live.mark));
        }
        self.memory
            .attempt_leaves(&key, live.mark, body, self.now_ms)
    }

    /// The table does what a request asks.
    fn serve(
        &mut self,
        target: &str,
        body: &str,
        signed: i64,
        sent: u64,
    ) -> Result<Answer, Broken> {
        if (signed - self.server_ms()).abs() > SIGNATURE_VALID_MS {
            let words = "Signature expired: it is now earlier than it should be";
            return Ok(Answer::error("InvalidSignatureException", words));
        }
        if !self.quiet && self.rng.percent(self.weather.throttles) {
            return Ok(Answer::throttled());
        }
        if let Some(answer) = self.fault.and_then(|fault| fault(target, body)) {
            return Ok(answer);
        }
        let failure = !self.quiet && self.rng.percent(self.weather.failures);
        let error = || Answer {
            status: 500,
            body: String::new(),
        };
        if failure && self.rng.percent(50) {
            return Ok(error());
        }
        self.tell(|| format!("serves {target} {body}"));
        let key = written_key(target, body).filter(|key| !key.sk.starts_with('~'));
        let place = key.as_ref().map(|key| (key.pk.clone(), key.sk.clone()));
        let before = place
            .as_ref()
            .and_then(|place| self.dynamo.table(TABLE).get(place).cloned());
        let answer = self.dynamo.handle(target, body);
        self.tell(|| format!("  -> {} {}", answer.status, answer.body));
        assert!(
            !answer.body.contains("ValidationException"),
            "{body}\n{}",
            answer.body
        );
        if let Some((key, place)) = key.zip(place) {
            let after = self.dynamo.table(TABLE).get(&place).cloned();
            let clears = body.contains(r##""ConditionExpression":"#0 <= :0""##);
            if before != after && !clears {
                self.memory
                    .device_wrote(&key, before.as_ref(), after.as_ref(), body, sent)?;
            }
        }
        Ok(if failure { error() } else { answer })
    }
}

/// The key that a write of the device concerns.
fn written_key(target: &str, body: &str) -> Option<ItemKey> {
    let operation = target.strip_prefix("DynamoDB_20120810.")?;
    let field = match operation {
        "PutItem" => "Item",
        "UpdateItem" | "DeleteItem" => "Key",
        _ => return None,
    };
    let fields = json::parse(body)
        .expect("a body is JSON")
        .into_map()
        .expect("of an object");
    let item = attribute::item_from_json(fields[field].clone()).expect("with an item");
    ItemKey::of(&item)
}
