//! Subscriptions: what is wanted here, what the broker knows of it, and what is still to be asked.
//!
//! Several subscriptions share one filter at the broker if they ask for the same filter, or if a
//! master subscription covers them. The broker is asked for what the widest of them wants: the
//! highest QoS, No Local only if all want it, Retain As Published if one does; and again when that
//! changes. The filter is given up when the last of them goes. Who comes
//! later for the same filter may want its retained messages, which only a SUBSCRIBE brings: it is
//! sent again, and the shell gives what comes to those who have not had it.
//!
//! With version 5 a broker sends a message once for each filter that matches. Each filter has an
//! identifier, so that a copy goes to those it was sent for. It is made from the filter alone: a
//! broker that kept the session from an earlier life of ours puts the same one on its messages.

use super::error::SubscribeError;
use super::ids::Owner;
use super::output::{Output, SubscriptionId};
use super::{Link, Session};
use crate::limits::{MQTT_FILTERS_PER_SUBSCRIBE_MAX, MQTT_SUBSCRIPTIONS_MAX};
use crate::mqtt::codec::{
    FilterRequest, Packet, PacketId, Properties, PropertiesBuf, Property, QoS, Reason,
    RetainHandling, Suback, Subscribe, SubscribeOptions, Unsuback, Unsubscribe, Version,
};
use crate::mqtt::topic::Filter;
use crate::time::Mono;
use std::collections::BTreeMap;

/// Filters at the broker, by a number of our own, and who they are for.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    at_broker: BTreeMap<u64, AtBroker>,
    /// The filter that serves a subscription, and what it asks for.
    served_by: BTreeMap<SubscriptionId, (u64, SubscribeOptions)>,
    /// Requests that are not answered.
    asked: Vec<(PacketId, Vec<u64>)>,
    last: u64,
    /// Something may have to be asked.
    pub(super) due: bool,
    /// What the broker may know of has changed.
    news: bool,
}

#[derive(Clone, Debug)]
struct AtBroker {
    filter: String,
    /// As wide as the widest of those who want it.
    options: SubscribeOptions,
    /// Retained messages have still to come for someone.
    retained_due: bool,
    is_master: bool,
    /// The broker may know of it.
    is_known: bool,
    state: State,
    /// Who wants it; nobody when it is to be given up. The one that left last hears of that.
    users: Vec<SubscriptionId>,
    last_user: SubscriptionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Wanted,
    Asked,
    Granted(QoS),
    Refused { retry: Mono },
}

impl Session {
    /// Asks for messages. The answer comes as [`Output::Subscribed`] once there is a connection.
    pub fn subscribe(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        now: Mono,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.subscribe_as(filter, options, false, now)
    }

    /// The same, and later subscriptions that this filter covers are served by it: the broker is
    /// asked once, and finer filters are matched here.
    pub fn subscribe_master(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        now: Mono,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.subscribe_as(filter, options, true, now)
    }

    fn subscribe_as(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        is_master: bool,
        now: Mono,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.now = now;
        let parsed = Filter::parse(filter)?;
        if options.no_local && parsed.share_name().is_some() {
            return Err(SubscribeError::SharedNoLocal);
        }
        let options = self.sayable(options);
        self.config.profile.check_filter(parsed, options.qos)?;
        if self.link == Link::Up {
            if parsed.has_wildcard() && !self.limits.wildcards {
                return Err(SubscribeError::Wildcards);
            }
            if parsed.share_name().is_some() && !self.limits.shared {
                return Err(SubscribeError::Shared);
            }
        }
        let (id, granted) = self.subscriptions.add(parsed, options, is_master)?;
        if let Some(granted) = granted {
            let granted = Ok(granted.min(options.qos));
            self.outputs.push_back(Output::Subscribed(id, granted));
        }
        self.pump();
        Ok(id)
    }

    /// What the version has words for. The rest changes nothing at the broker, and is not asked for
    /// again when it changes here.
    const fn sayable(&self, options: SubscribeOptions) -> SubscribeOptions {
        match self.config.version {
            Version::V5 => options,
            Version::V311 => SubscribeOptions {
                no_local: false,
                retain_as_published: false,
                ..options
            },
        }
    }

    /// Asks for no more messages; other subscriptions stay. [`Output::Unsubscribed`] follows.
    pub fn unsubscribe(&mut self, id: SubscriptionId, now: Mono) {
        self.now = now;
        if self.subscriptions.leave(id) {
            self.outputs.push_back(Output::Unsubscribed(id));
        }
        self.pump();
    }

    /// A filter of an earlier life that the broker may know of. Unless somebody asks for it again, it
    /// is given up once the broker has taken the session up.
    pub fn restore_subscription(&mut self, filter: &str) {
        let Ok(filter) = Filter::parse(filter) else {
            return;
        };
        let subscriptions = &mut self.subscriptions;
        subscriptions.last += 1;
        let id = SubscriptionId(subscriptions.last);
        let options = SubscribeOptions::qos(QoS::AtMostOnce);
        let number = subscriptions.insert(filter, options, id);
        if let Some(there) = subscriptions.at_broker.get_mut(&number) {
            there.is_known = true;
        }
        subscriptions.due = true;
    }

    /// Filters that the broker may know of, or is about to hear of in [`pending`](Self::pending):
    /// the next life needs them for [`restore_subscription`](Self::restore_subscription). Nothing
    /// if they are those of the last time.
    pub fn known_filters(&mut self) -> Option<Vec<&str>> {
        if !std::mem::take(&mut self.subscriptions.news) {
            return None;
        }
        let there = self.subscriptions.at_broker.values();
        let known = there.filter(|there| there.is_known);
        Some(known.map(|there| there.filter.as_str()).collect())
    }

    /// What the broker puts on messages that it sends for this subscription, where it puts
    /// anything: [`Property::SubscriptionIdentifier`].
    pub fn identifier(&self, id: SubscriptionId) -> Option<u32> {
        let (number, _) = self.subscriptions.served_by.get(&id)?;
        let there = self.subscriptions.at_broker.get(number)?;
        Some(identifier(&there.filter))
    }

    fn gives_identifiers(&self) -> bool {
        self.config.version == Version::V5 && self.limits.subscription_ids
    }

    /// Asks for what is to be asked for, and gives up what is given up.
    #[cold]
    pub(super) fn send_subscriptions(&mut self) {
        let profile = self.config.profile.filters_per_subscribe_max;
        let filters_max = profile.unwrap_or(MQTT_FILTERS_PER_SUBSCRIBE_MAX);
        let packet_bytes_max = self.limits.packet_bytes_max;
        let retry = self.now + self.config.resubscribe_pause;
        let refused = self.subscriptions.refuse_too_long(packet_bytes_max, retry);
        let refusal = |id| Output::Subscribed(id, Err(Reason::PacketTooLarge));
        self.outputs.extend(refused.into_iter().map(refusal));
        while self.send_unsubscribe(filters_max) || self.send_subscribe(filters_max) {}
        self.subscriptions.due = !self.subscriptions.to_ask(1, packet_bytes_max).is_empty()
            || !self.subscriptions.to_leave(1, packet_bytes_max).is_empty();
    }

    fn send_subscribe(&mut self, filters_max: usize) -> bool {
        // An identifier holds for a whole packet.
        let filters_max = if self.gives_identifiers() {
            1
        } else {
            filters_max
        };
        let numbers = self
            .subscriptions
            .to_ask(filters_max, self.limits.packet_bytes_max);
        if numbers.is_empty() {
            return false;
        }
        let Some(id) = self.give_id(Owner::Subscribe) else {
            return false;
        };
        let filters = self.subscriptions.requests(&numbers);
        let mut properties = PropertiesBuf::new();
        if self.gives_identifiers() {
            let property = Property::SubscriptionIdentifier(identifier(filters[0].filter));
            let pushed = properties.push(property);
            pushed.expect("an identifier is within its bound");
        }
        let packet = Packet::Subscribe(Subscribe {
            id,
            properties: properties.as_properties(),
            filters,
        });
        packet
            .encode(self.config.version, self.outgoing.end())
            .expect("filters were measured when they were parsed");
        self.subscriptions.note_asked(id, numbers);
        true
    }

    fn send_unsubscribe(&mut self, filters_max: usize) -> bool {
        let numbers = self
            .subscriptions
            .to_leave(filters_max, self.limits.packet_bytes_max);
        if numbers.is_empty() {
            return false;
        }
        let Some(id) = self.give_id(Owner::Unsubscribe) else {
            return false;
        };
        let requests = self.subscriptions.requests(&numbers);
        let packet = Packet::Unsubscribe(Unsubscribe {
            id,
            properties: Properties::EMPTY,
            filters: requests.iter().map(|request| request.filter).collect(),
        });
        packet
            .encode(self.config.version, self.outgoing.end())
            .expect("filters were measured when they were parsed");
        self.subscriptions.note_asked(id, numbers);
        true
    }

    pub(super) fn suback(&mut self, suback: &Suback<'_>) {
        if self.ids.owner(suback.id) != Some(Owner::Subscribe) {
            return;
        }
        self.ids.free(suback.id);
        let retry = self.now + self.config.resubscribe_pause;
        let numbers = self.subscriptions.take_asked(suback.id);
        for (index, number) in numbers.into_iter().enumerate() {
            // Too few codes are as good as a refusal.
            let reason = suback.reasons.get(index).copied();
            let result = granted(reason.unwrap_or(Reason::UnspecifiedError));
            let told = self.subscriptions.answered(number, result, retry);
            self.outputs.extend(
                told.into_iter()
                    .map(|(id, result)| Output::Subscribed(id, result)),
            );
        }
        self.pump();
    }

    pub(super) fn unsuback(&mut self, unsuback: &Unsuback<'_>) {
        if self.ids.owner(unsuback.id) != Some(Owner::Unsubscribe) {
            return;
        }
        self.ids.free(unsuback.id);
        for number in self.subscriptions.take_asked(unsuback.id) {
            let gone = self.subscriptions.left(number);
            self.outputs.extend(gone.map(Output::Unsubscribed));
        }
        self.pump();
    }
}

/// What a request takes beside its filters, at most: fixed header, packet id, and properties with an
/// identifier.
const REQUEST_BYTES: usize = 5 + 2 + 1 + 5;

/// From 1 to the most that there is. Two filters with one identifier would only share copies.
fn identifier(filter: &str) -> u32 {
    const IDENTIFIER_MAX: u32 = 268_435_455;
    crc32fast::hash(filter.as_bytes()) % IDENTIFIER_MAX + 1
}

const fn granted(reason: Reason) -> Result<QoS, Reason> {
    match reason {
        Reason::Success => Ok(QoS::AtMostOnce),
        Reason::GrantedQos1 => Ok(QoS::AtLeastOnce),
        Reason::GrantedQos2 => Ok(QoS::ExactlyOnce),
        refusal => Err(refusal),
    }
}

impl AtBroker {
    /// One more wants it; says whether the broker has to hear of that.
    fn widen(&mut self, wanted: SubscribeOptions) -> bool {
        let before = self.options;
        if self.users.is_empty() {
            // Nobody is left for whom the options of before would still count.
            self.options = wanted;
            self.retained_due = true;
        } else {
            self.options.qos = before.qos.max(wanted.qos);
            self.options.no_local &= wanted.no_local;
            self.options.retain_as_published |= wanted.retain_as_published;
        }
        let said = |of: SubscribeOptions| (of.qos, of.no_local, of.retain_as_published);
        said(before) != said(self.options)
    }

    /// These are left who want it; says whether the broker has to hear of that. A lower QoS is not
    /// worth a word.
    fn narrow(&mut self, left: impl Iterator<Item = SubscribeOptions> + Clone) -> bool {
        let before = self.options;
        self.options.no_local = left.clone().all(|user| user.no_local);
        self.options.retain_as_published = left.clone().any(|user| user.retain_as_published);
        before != self.options
    }

    /// What a SUBSCRIBE says. Retained messages come again only for who has not had them.
    const fn asks(&self) -> SubscribeOptions {
        match (self.options.retain_handling, self.retained_due) {
            (RetainHandling::Send, false) => SubscribeOptions {
                retain_handling: RetainHandling::SendIfNew,
                ..self.options
            },
            _ => self.options,
        }
    }

    /// What a request takes for it.
    const fn request_bytes(&self) -> usize {
        self.filter.len() + 3
    }

    /// Whether asking again brings retained messages that this one wants. Of a master's filter, and
    /// of shared subscriptions, nobody gets them later.
    fn brings_retained(&self, filter: Filter<'_>, options: SubscribeOptions) -> bool {
        options.retain_handling == RetainHandling::Send
            && self.filter == filter.as_str()
            && filter.share_name().is_none()
            && matches!(self.state, State::Asked | State::Granted(_))
    }
}

impl Subscriptions {
    /// Adds one; if the broker has granted its filter already, that is told.
    fn add(
        &mut self,
        filter: Filter<'_>,
        options: SubscribeOptions,
        is_master: bool,
    ) -> Result<(SubscriptionId, Option<QoS>), SubscribeError> {
        if self.served_by.len() >= MQTT_SUBSCRIPTIONS_MAX {
            return Err(SubscribeError::TooMany {
                subscriptions_max: MQTT_SUBSCRIPTIONS_MAX,
            });
        }
        self.last += 1;
        let id = SubscriptionId(self.last);
        let number = match self.serving(filter) {
            Some(number) => number,
            None => self.insert(filter, options, id),
        };
        self.due = true;
        self.served_by.insert(id, (number, options));
        let there = self.at_broker.get_mut(&number).expect("just found");
        if there.widen(options) {
            there.state = State::Wanted;
        }
        there.users.push(id);
        there.last_user = id;
        there.is_master |= is_master;
        let granted = match there.state {
            State::Granted(qos) => Some(qos),
            _ => None,
        };
        if there.users.len() > 1 && there.brings_retained(filter, options) {
            there.options.retain_handling = RetainHandling::Send;
            there.retained_due = true;
            there.state = State::Wanted;
        }
        Ok((id, granted))
    }

    /// The filter at the broker that brings what this one asks for.
    fn serving(&self, filter: Filter<'_>) -> Option<u64> {
        let same = |there: &AtBroker| there.filter == filter.as_str();
        let covers = |there: &AtBroker| {
            there.is_master
                && !there.users.is_empty()
                && filter.share_name().is_none()
                && Filter::parse(&there.filter).is_ok_and(|master| master.covers(filter))
        };
        let find = |wanted: &dyn Fn(&AtBroker) -> bool| {
            let mut found = self.at_broker.iter().filter(|(_, there)| wanted(there));
            found.next().map(|(number, _)| *number)
        };
        find(&same).or_else(|| find(&covers))
    }

    fn insert(&mut self, filter: Filter<'_>, options: SubscribeOptions, id: SubscriptionId) -> u64 {
        let number = id.0;
        self.at_broker.insert(
            number,
            AtBroker {
                filter: filter.as_str().to_owned(),
                options,
                retained_due: true,
                is_master: false,
                is_known: false,
                state: State::Wanted,
                users: Vec::new(),
                last_user: id,
            },
        );
        number
    }

    /// Takes one away; says whether that is all, so that the broker need not be asked.
    fn leave(&mut self, id: SubscriptionId) -> bool {
        let Some((number, _)) = self.served_by.remove(&id) else {
            return false;
        };
        let Some(there) = self.at_broker.get_mut(&number) else {
            return true;
        };
        there.users.retain(|user| *user != id);
        if !there.users.is_empty() {
            let users = there.users.clone();
            let left = users.iter().filter_map(|user| self.served_by.get(user));
            if there.narrow(left.map(|(_, options)| *options)) {
                there.state = State::Wanted;
                self.due = true;
            }
            return true;
        }
        there.last_user = id;
        there.is_master = false;
        if there.is_known {
            self.due = true;
            // A request that is on its way is answered first.
            if there.state != State::Asked {
                there.state = State::Wanted;
            }
            return false;
        }
        self.at_broker.remove(&number);
        true
    }

    /// Filters to subscribe to, as many as one packet may hold.
    fn to_ask(&self, filters_max: usize, bytes_max: usize) -> Vec<u64> {
        self.first_of(filters_max, bytes_max, |there| {
            there.state == State::Wanted && !there.users.is_empty()
        })
    }

    /// The broker takes no packet that could ask for these: it would end the connection, and each one
    /// after it. Says who is refused.
    fn refuse_too_long(&mut self, bytes_max: usize, retry: Mono) -> Vec<SubscriptionId> {
        let mut refused = Vec::new();
        for there in self.at_broker.values_mut() {
            let is_too_long = REQUEST_BYTES + there.request_bytes() > bytes_max;
            if is_too_long && there.state == State::Wanted && !there.users.is_empty() {
                there.state = State::Refused { retry };
                refused.extend(&there.users);
            }
        }
        refused
    }

    /// Filters to be given up.
    fn to_leave(&self, filters_max: usize, bytes_max: usize) -> Vec<u64> {
        self.first_of(filters_max, bytes_max, |there| {
            there.state == State::Wanted && there.users.is_empty()
        })
    }

    fn first_of(
        &self,
        filters_max: usize,
        bytes_max: usize,
        wanted: impl Fn(&AtBroker) -> bool,
    ) -> Vec<u64> {
        let mut bytes = REQUEST_BYTES;
        let mut numbers = Vec::new();
        for (number, there) in self.at_broker.iter().filter(|(_, there)| wanted(there)) {
            bytes += there.request_bytes();
            if numbers.len() == filters_max || (bytes > bytes_max && !numbers.is_empty()) {
                break;
            }
            numbers.push(*number);
        }
        numbers
    }

    fn requests(&self, numbers: &[u64]) -> Vec<FilterRequest<'_>> {
        let there = numbers
            .iter()
            .filter_map(|number| self.at_broker.get(number));
        there
            .map(|there| FilterRequest {
                filter: &there.filter,
                options: there.asks(),
            })
            .collect()
    }

    fn note_asked(&mut self, id: PacketId, numbers: Vec<u64>) {
        for number in &numbers {
            if let Some(there) = self.at_broker.get_mut(number) {
                there.state = State::Asked;
                self.news |= !there.is_known;
                there.is_known = true;
            }
        }
        self.asked.push((id, numbers));
    }

    fn take_asked(&mut self, id: PacketId) -> Vec<u64> {
        match self.asked.iter().position(|(asked, _)| *asked == id) {
            Some(place) => self.asked.swap_remove(place).1,
            None => Vec::new(),
        }
    }

    /// The broker's answer, for everyone who wants this filter.
    fn answered(
        &mut self,
        number: u64,
        result: Result<QoS, Reason>,
        retry: Mono,
    ) -> Vec<(SubscriptionId, Result<QoS, Reason>)> {
        let is_last = !self.asked.iter().any(|(_, asked)| asked.contains(&number));
        let Some(there) = self.at_broker.get_mut(&number) else {
            return Vec::new();
        };
        self.due = true;
        // In the meantime it was given up, or more is asked for.
        if there.state != State::Asked || there.users.is_empty() {
            there.state = State::Wanted;
        } else if is_last {
            there.retained_due &= result.is_err();
            there.state = match result {
                Ok(qos) => State::Granted(qos),
                Err(_) => State::Refused { retry },
            };
        }
        let users = there.users.iter();
        users
            .map(|user| {
                let asked = self.served_by.get(user);
                let asked = asked.map_or(QoS::AtMostOnce, |(_, options)| options.qos);
                (*user, result.map(|granted| granted.min(asked)))
            })
            .collect()
    }

    /// The broker has given it up; unless it is wanted again, it is gone.
    fn left(&mut self, number: u64) -> Option<SubscriptionId> {
        let there = self.at_broker.get_mut(&number)?;
        there.is_known = false;
        self.news = true;
        there.retained_due = true;
        if !there.users.is_empty() {
            there.state = State::Wanted;
            self.due = true;
            return None;
        }
        let gone = there.last_user;
        self.at_broker.remove(&number);
        Some(gone)
    }

    /// The connection is gone: what was not answered has to be asked again.
    pub(super) fn end_connection(&mut self) {
        self.asked.clear();
        for there in self.at_broker.values_mut() {
            if !matches!(there.state, State::Granted(_)) {
                there.state = State::Wanted;
            }
        }
    }

    /// A connection stands. When the broker knows nothing of us, or we are not sure of that,
    /// everything has to be asked again; what was to be given up is gone already, and told.
    pub(super) fn begin_connection(
        &mut self,
        session_present: bool,
        unsure: bool,
    ) -> Vec<SubscriptionId> {
        self.due = true;
        if session_present {
            if unsure {
                for there in self.at_broker.values_mut() {
                    there.state = State::Wanted;
                    there.retained_due = true;
                }
            }
            return Vec::new();
        }
        self.news = true;
        let mut gone = Vec::new();
        self.at_broker.retain(|_, there| {
            there.state = State::Wanted;
            there.is_known = false;
            there.retained_due = true;
            if there.users.is_empty() {
                gone.push(there.last_user);
            }
            !there.users.is_empty()
        });
        gone
    }

    /// When a refused subscription is asked for again.
    pub(super) fn retry_at(&self) -> Option<Mono> {
        let retries = self
            .at_broker
            .values()
            .filter_map(|there| match there.state {
                State::Refused { retry } => Some(retry),
                _ => None,
            });
        retries.min()
    }

    pub(super) fn retry(&mut self, now: Mono) {
        for there in self.at_broker.values_mut() {
            if matches!(there.state, State::Refused { retry } if retry <= now) {
                there.state = State::Wanted;
                self.due = true;
            }
        }
    }
}
