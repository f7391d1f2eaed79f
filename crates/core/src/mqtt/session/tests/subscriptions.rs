//! Subscriptions, asked for, refused, shared, lost and given up.

use super::*;
use crate::mqtt::policy::Profile;

fn options() -> SubscribeOptions {
    SubscribeOptions::qos(ONE)
}

fn suback(number: u16, reasons: &[Reason]) -> Packet<'static> {
    Packet::Suback(Suback {
        id: id(number),
        properties: Properties::EMPTY,
        reasons: reasons.to_vec(),
    })
}

fn unsuback(number: u16) -> Packet<'static> {
    Packet::Unsuback(Unsuback {
        id: id(number),
        properties: Properties::EMPTY,
        reasons: vec![Reason::Success],
    })
}

/// A broker that puts nothing on its messages.
const NO_IDENTIFIERS: &[Property<'static>] = &[Property::SubscriptionIdentifierAvailable(false)];

#[test]
fn several_filters_share_a_packet_and_each_gets_its_answer() {
    let mut it = session(config());
    let one = it.subscribe("a", options(), at(0)).unwrap();
    let two = it.subscribe("b", options(), at(0)).unwrap();
    connect(&mut it, false, NO_IDENTIFIERS, at(1));
    assert_eq!(words(&mut it), ["subscribe 1"]);
    receive(
        &mut it,
        &suback(1, &[Reason::GrantedQos1, Reason::NotAuthorized]),
        at(2),
    );
    assert_eq!(it.poll_output(), Some(Output::Subscribed(one, Ok(ONE))));
    let refused = Output::Subscribed(two, Err(Reason::NotAuthorized));
    assert_eq!(it.poll_output(), Some(refused));
}

#[test]
fn each_filter_has_an_identifier_of_its_own_that_does_not_change() {
    let identifiers = |filters: &[&str]| -> Vec<Option<u32>> {
        let mut it = session(config());
        let subscribed = filters
            .iter()
            .map(|filter| it.subscribe(filter, options(), at(0)));
        let ids: Vec<SubscriptionId> = subscribed.map(Result::unwrap).collect();
        connect(&mut it, false, &[], at(1));
        let packets = sent(&mut it);
        let known: Vec<_> = ids.into_iter().map(|id| it.identifier(id)).collect();
        assert_eq!(packets.len(), filters.len());
        for (packet, identifier) in packets.iter().zip(&known) {
            let named = format!("SubscriptionIdentifier({})", identifier.unwrap());
            assert!(packet.contains(&named), "{packet}");
        }
        known
    };
    let (one, two) = (identifiers(&["a/#", "a/b"]), identifiers(&["a/b", "a/#"]));
    assert_ne!(one[0], one[1]);
    assert_eq!([one[0], one[1]], [two[1], two[0]]);
}

#[test]
fn a_refused_subscription_is_asked_for_again() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::UnspecifiedError]), at(2));
    told(&mut it);
    receive(&mut it, &Packet::Pingresp, at(30));
    it.handle_written(0, at(30));
    assert_eq!(it.poll_timeout(), Some((at(62), Wake::Resubscribe)));
    it.handle_timeout(at(62));
    assert_eq!(words(&mut it), ["subscribe 2"]);
}

#[test]
fn a_lost_session_is_subscribed_again_and_a_kept_one_is_not() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    it.handle_disconnected(at(2));
    connect(&mut it, true, &[], at(3));
    assert_eq!(words(&mut it), [""; 0]);
    it.handle_disconnected(at(4));
    connect(&mut it, false, &[], at(5));
    assert_eq!(words(&mut it), ["subscribe 2"]);
}

#[test]
fn a_session_that_may_be_newer_than_we_know_is_subscribed_again() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    it.handle_disconnected(at(2));
    // An attempt whose answer is lost.
    it.handle_connected(at(3));
    it.handle_disconnected(at(4));
    connect(&mut it, true, &[], at(5));
    assert_eq!(words(&mut it), ["subscribe 2"]);
}

#[test]
fn two_for_one_filter_are_one_at_the_broker_until_both_are_gone() {
    let mut it = connected(config(), &[]);
    let one = it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    let two = it.subscribe("a", without_retained(), at(1)).unwrap();
    assert_eq!(words(&mut it), [""; 0]);
    assert_eq!(it.poll_output(), Some(Output::Subscribed(two, Ok(ONE))));
    it.unsubscribe(one, at(2));
    assert_eq!(it.poll_output(), Some(Output::Unsubscribed(one)));
    assert_eq!(words(&mut it), [""; 0]);
    it.unsubscribe(two, at(2));
    assert_eq!(words(&mut it), ["unsubscribe 2"]);
    assert_eq!(it.poll_output(), None);
    receive(&mut it, &unsuback(2), at(3));
    assert_eq!(it.poll_output(), Some(Output::Unsubscribed(two)));
}

fn without_retained() -> SubscribeOptions {
    SubscribeOptions {
        retain_handling: RetainHandling::DoNotSend,
        ..options()
    }
}

#[test]
fn the_retained_messages_of_a_filter_are_asked_for_again_for_who_comes_later() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", without_retained(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    let two = it.subscribe("a", options(), at(1)).unwrap();
    // It is granted already; the messages follow.
    assert_eq!(it.poll_output(), Some(Output::Subscribed(two, Ok(ONE))));
    let again = sent(&mut it);
    assert_eq!(again.len(), 1);
    assert!(again[0].contains("retain_handling: Send"), "{again:?}");
    // While that is not answered, one more asks.
    it.subscribe("a", options(), at(1)).unwrap();
    assert_eq!(words(&mut it), ["subscribe 3"]);
    receive(&mut it, &suback(2, &[Reason::GrantedQos1]), at(1));
    receive(&mut it, &suback(3, &[Reason::GrantedQos1]), at(1));
    assert_eq!(words(&mut it), [""; 0]);
    // Of a shared one there are none.
    it.subscribe("$share/group/a", options(), at(2)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(4, &[Reason::GrantedQos1]), at(2));
    it.subscribe("$share/group/a", options(), at(2)).unwrap();
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn a_higher_qos_for_the_same_filter_is_asked_for() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", SubscribeOptions::default(), at(1))
        .unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::Success]), at(1));
    told(&mut it);
    it.subscribe("a", options(), at(1)).unwrap();
    let asked = sent(&mut it).concat();
    assert!(asked.contains("qos: AtLeastOnce"), "{asked}");
    // A lower one is not, whoever else there is.
    receive(&mut it, &suback(2, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    it.subscribe("a", without_retained(), at(1)).unwrap();
    let low = SubscribeOptions::default();
    let low = SubscribeOptions {
        retain_handling: RetainHandling::DoNotSend,
        ..low
    };
    it.subscribe("a", low, at(1)).unwrap();
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn each_hears_of_no_higher_qos_than_it_asked_for() {
    let mut it = connected(config(), &[]);
    let (low, high) = (options(), SubscribeOptions::qos(TWO));
    let low = it.subscribe("a", low, at(1)).unwrap();
    let high = it.subscribe("a", high, at(1)).unwrap();
    let asked = sent(&mut it);
    assert!(asked.concat().contains("qos: ExactlyOnce"), "{asked:?}");
    let number = u16::try_from(asked.len()).unwrap();
    for number in 1..=number {
        receive(&mut it, &suback(number, &[Reason::GrantedQos2]), at(2));
    }
    let told = told(&mut it);
    for expected in [
        Output::Subscribed(low, Ok(ONE)),
        Output::Subscribed(high, Ok(TWO)),
    ] {
        assert!(told.contains(&format!("{expected:?}")), "{told:?}");
    }
}

fn without_own() -> SubscribeOptions {
    SubscribeOptions {
        no_local: true,
        ..options()
    }
}

/// Asks for one filter, and has the broker grant it.
fn granted(it: &mut Session, filter: &str, options: SubscribeOptions) -> (SubscriptionId, String) {
    let asked = it.subscribe(filter, options, at(1)).unwrap();
    (asked, grant(it))
}

/// What a subscription says, in words; nothing if none is sent.
fn grant(it: &mut Session) -> String {
    let packets = sent(it);
    for packet in &packets {
        let number = packet.split("PacketId(").nth(1).unwrap();
        let number = number.split(')').next().unwrap().parse().unwrap();
        receive(it, &suback(number, &[Reason::GrantedQos1]), at(1));
    }
    told(it);
    packets.concat()
}

#[test]
fn a_filter_is_as_wide_at_the_broker_as_the_widest_of_those_who_want_it() {
    let mut it = connected(config(), &[]);
    let (_, said) = granted(&mut it, "a", without_own());
    assert!(said.contains("no_local: true"), "{said}");
    // What this client publishes is wanted by one more, and what it has had does not come again.
    let (wide, said) = granted(&mut it, "a", without_retained());
    assert!(said.contains("no_local: false"), "{said}");
    assert!(said.contains("retain_handling: SendIfNew"), "{said}");
    let (as_published, said) = granted(
        &mut it,
        "a",
        SubscribeOptions {
            retain_as_published: true,
            ..without_retained()
        },
    );
    assert!(said.contains("no_local: false"), "{said}");
    assert!(said.contains("retain_as_published: true"), "{said}");
    let (_, said) = granted(&mut it, "a", without_retained());
    assert_eq!(said, "");
    it.unsubscribe(as_published, at(2));
    assert!(grant(&mut it).contains("retain_as_published: false"));
    it.unsubscribe(wide, at(2));
    assert_eq!(grant(&mut it), "");
}

#[test]
fn a_filter_is_narrow_again_when_the_widest_is_gone() {
    let mut it = connected(config(), &[]);
    granted(&mut it, "a", without_own());
    let (wide, _) = granted(&mut it, "a", without_retained());
    it.unsubscribe(wide, at(2));
    let said = grant(&mut it);
    assert!(said.contains("no_local: true"), "{said}");
    assert!(said.contains("retain_handling: SendIfNew"), "{said}");
    assert_eq!(grant(&mut it), "");
}

#[test]
fn a_finer_filter_below_a_master_widens_it() {
    let mut it = connected(config(), &[]);
    it.subscribe_master("me/#", without_own(), at(1)).unwrap();
    assert!(grant(&mut it).contains("no_local: true"));
    let (fine, said) = granted(&mut it, "me/jobs/+", options());
    assert!(said.contains("filter: \"me/#\""), "{said}");
    assert!(said.contains("no_local: false"), "{said}");
    it.unsubscribe(fine, at(2));
    assert!(grant(&mut it).contains("no_local: true"));
}

#[test]
fn what_3_1_1_cannot_say_is_not_asked_for_again() {
    let mut it = connected(Config::new(Version::V311, "me"), &[]);
    granted(&mut it, "a", without_own());
    let (wide, said) = granted(&mut it, "a", without_retained());
    assert_eq!(said, "");
    it.unsubscribe(wide, at(2));
    assert_eq!(grant(&mut it), "");
}

#[test]
fn a_shared_subscription_never_says_no_local() {
    for version in [Version::V311, Version::V5] {
        let mut it = connected(Config::new(version, "me"), &[]);
        let refused = it.subscribe("$share/g/jobs/+", without_own(), at(1));
        assert_eq!(refused, Err(SubscribeError::SharedNoLocal));
        let refused = it.subscribe_master("$share/g/jobs/+", without_own(), at(1));
        assert_eq!(refused, Err(SubscribeError::SharedNoLocal));
        assert_eq!(words(&mut it), [""; 0]);
        it.subscribe("$share/g/jobs/+", options(), at(1)).unwrap();
        assert_eq!(words(&mut it), ["subscribe 1"]);
    }
}

#[test]
fn two_requests_for_one_filter_are_enough_when_both_are_answered() {
    let mut it = connected(config(), &[]);
    it.subscribe("a", without_own(), at(1)).unwrap();
    it.subscribe("a", without_retained(), at(1)).unwrap();
    assert_eq!(words(&mut it), ["subscribe 1", "subscribe 2"]);
    for number in [1, 2] {
        receive(&mut it, &suback(number, &[Reason::GrantedQos1]), at(1));
        told(&mut it);
        assert_eq!(words(&mut it), [""; 0]);
    }
}

#[test]
fn a_master_subscription_serves_what_it_covers() {
    let mut it = connected(config(), &[]);
    it.subscribe_master("me/#", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    let fine = it.subscribe("me/jobs/+", options(), at(1)).unwrap();
    assert_eq!(words(&mut it), [""; 0]);
    assert_eq!(it.poll_output(), Some(Output::Subscribed(fine, Ok(ONE))));
    it.subscribe("you/#", options(), at(1)).unwrap();
    assert_eq!(words(&mut it), ["subscribe 2"]);
    it.unsubscribe(fine, at(2));
    assert_eq!(it.poll_output(), Some(Output::Unsubscribed(fine)));
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn what_is_given_up_before_the_broker_heard_of_it_is_gone_at_once() {
    let mut it = session(config());
    let one = it.subscribe("a", options(), at(0)).unwrap();
    it.unsubscribe(one, at(0));
    assert_eq!(it.poll_output(), Some(Output::Unsubscribed(one)));
    connect(&mut it, false, &[], at(1));
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn what_is_given_up_offline_is_given_up_at_the_broker_later() {
    let mut it = connected(config(), &[]);
    let one = it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    it.handle_disconnected(at(2));
    it.unsubscribe(one, at(3));
    assert_eq!(it.poll_output(), None);
    connect(&mut it, true, &[], at(4));
    assert_eq!(words(&mut it), ["unsubscribe 2"]);
}

#[test]
fn what_is_wanted_again_while_it_is_given_up_is_asked_for_again() {
    let mut it = connected(config(), &[]);
    let one = it.subscribe("a", options(), at(1)).unwrap();
    words(&mut it);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(1));
    told(&mut it);
    it.unsubscribe(one, at(2));
    assert_eq!(words(&mut it), ["unsubscribe 2"]);
    let two = it.subscribe("a", options(), at(2)).unwrap();
    receive(&mut it, &unsuback(2), at(3));
    told(&mut it);
    assert_eq!(words(&mut it), ["subscribe 3"]);
    receive(&mut it, &suback(3, &[Reason::GrantedQos1]), at(3));
    assert_eq!(it.poll_output(), Some(Output::Subscribed(two, Ok(ONE))));
}

#[test]
fn aws_gets_eight_filters_in_a_packet() {
    let mut it = session(Config {
        profile: Profile::AWS_IOT,
        ..config()
    });
    for index in 0..20 {
        it.subscribe(&format!("t/{index}"), options(), at(0))
            .unwrap();
    }
    connect(&mut it, false, NO_IDENTIFIERS, at(1));
    let counts: Vec<usize> = sent(&mut it)
        .iter()
        .map(|packet| packet.matches("FilterRequest").count())
        .collect();
    assert_eq!(counts, [8, 8, 4]);
}

#[test]
fn a_filter_too_long_for_the_broker_is_refused_here_and_others_are_asked_for() {
    let long = "a".repeat(200);
    for (packet_bytes_max, is_asked) in [(216, true), (215, false)] {
        let mut it = session(config());
        let long = it.subscribe(&long, options(), at(0)).unwrap();
        it.subscribe("b", options(), at(0)).unwrap();
        let limit = Property::MaximumPacketSize(packet_bytes_max);
        connect(&mut it, false, &[limit], at(1));
        assert_eq!(sent(&mut it).len(), 1 + usize::from(is_asked));
        let refused = Output::Subscribed(long, Err(Reason::PacketTooLarge));
        let expected = match is_asked {
            true => vec![],
            false => vec![format!("{refused:?}")],
        };
        assert_eq!(told(&mut it), expected);
    }
}

#[test]
fn subscriptions_have_a_bound() {
    let mut it = session(config());
    let most = crate::limits::MQTT_SUBSCRIPTIONS_MAX;
    for index in 0..most {
        it.subscribe(&index.to_string(), options(), at(0)).unwrap();
    }
    let error = it.subscribe("more", options(), at(0));
    let subscriptions_max = most;
    assert_eq!(error, Err(SubscribeError::TooMany { subscriptions_max }));
}

#[test]
fn filters_of_an_earlier_life_are_given_up_unless_they_are_asked_for_again() {
    let mut it = session(config());
    for filter in ["gone/#", "wanted", "a/#/wrong"] {
        it.restore_subscription(filter);
    }
    it.subscribe("wanted", options(), at(0)).unwrap();
    connect(&mut it, true, NO_IDENTIFIERS, at(1));
    let packets = sent(&mut it);
    assert_eq!(packets.len(), 2, "{packets:?}");
    assert!(packets[0].starts_with("Unsubscribe(") && packets[0].contains("gone/#"));
    assert!(packets[1].starts_with("Subscribe(") && packets[1].contains("wanted"));
    receive(&mut it, &unsuback(1), at(2));
    told(&mut it);
    receive(&mut it, &suback(2, &[Reason::GrantedQos1]), at(2));
    told(&mut it);
    assert_eq!(it.known_filters(), Some(vec!["wanted"]));
    assert_eq!(it.known_filters(), None);
    assert!(sent(&mut it).is_empty());
}

#[test]
fn a_broker_that_has_forgotten_the_session_is_not_asked_to_forget_its_filters() {
    let mut it = session(config());
    it.restore_subscription("gone/#");
    connect(&mut it, false, NO_IDENTIFIERS, at(1));
    assert!(sent(&mut it).is_empty());
    assert_eq!(it.known_filters(), Some(Vec::new()));
}

#[test]
fn a_filter_is_known_from_when_it_is_about_to_be_sent_until_it_is_given_up() {
    let mut it = connected(config(), NO_IDENTIFIERS);
    it.known_filters();
    let asked = it.subscribe("a", options(), at(1)).unwrap();
    assert_eq!(it.known_filters(), Some(vec!["a"]));
    assert_eq!(words(&mut it), ["subscribe 1"]);
    receive(&mut it, &suback(1, &[Reason::GrantedQos1]), at(2));
    told(&mut it);
    assert_eq!(it.known_filters(), None);
    it.unsubscribe(asked, at(2));
    words(&mut it);
    assert_eq!(it.known_filters(), None);
    receive(&mut it, &unsuback(2), at(3));
    told(&mut it);
    assert_eq!(it.known_filters(), Some(Vec::new()));
}
