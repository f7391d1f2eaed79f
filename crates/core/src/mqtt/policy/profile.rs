//! What a broker does not take, as data: refused here, before the broker drops the connection.

use crate::mqtt::codec::QoS;
use crate::mqtt::topic::Filter;

/// The limits of a kind of broker that its CONNACK does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What it is called in errors.
    pub name: &'static str,
    /// Bytes of a payload.
    pub payload_bytes_max: Option<usize>,
    /// Bytes of a topic or a filter.
    pub topic_bytes_max: Option<usize>,
    /// Slashes in a topic or a filter.
    pub slashes_max: Option<usize>,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe_max: Option<usize>,
    /// The highest quality of service.
    pub qos_max: QoS,
    /// Messages on their way to the broker.
    pub in_flight_max: Option<u16>,
    /// Bytes of a client id.
    pub client_id_bytes_max: Option<usize>,
}

impl Profile {
    /// A broker without limits of its own.
    pub const GENERIC: Profile = Profile {
        name: "the broker",
        payload_bytes_max: None,
        topic_bytes_max: None,
        slashes_max: None,
        filters_per_subscribe_max: None,
        qos_max: QoS::ExactlyOnce,
        in_flight_max: None,
        client_id_bytes_max: None,
    };

    /// AWS IoT Core ("AWS IoT Core message broker and protocol limits and quotas"). The slashes of
    /// `$aws/rules/NAME/` do not count there; topics of that form have three more.
    pub const AWS_IOT: Profile = Profile {
        name: "AWS IoT Core",
        payload_bytes_max: Some(128 * 1024),
        topic_bytes_max: Some(256),
        slashes_max: Some(7),
        filters_per_subscribe_max: Some(8),
        qos_max: QoS::AtLeastOnce,
        in_flight_max: Some(100),
        client_id_bytes_max: Some(128),
    };

    /// Whether a message may be sent there.
    pub fn check_message(
        &self,
        topic: &str,
        payload_bytes: usize,
        qos: QoS,
    ) -> Result<(), ProfileError> {
        self.check_topic(topic)?;
        self.check_content(payload_bytes, qos)
    }

    /// Whether messages to the topics that a template makes may be sent there, as far as it shows:
    /// `${...}` stands for a part of a level (routes refuse values with slashes), and how long that
    /// is shows later.
    ///
    /// # Errors
    /// Which limit every message would break.
    pub fn check_route(&self, template: &str, qos: QoS) -> Result<(), ProfileError> {
        let mut fixed = String::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once("${") {
            fixed.push_str(before);
            rest = behind.split_once('}').map_or("", |(_, behind)| behind);
        }
        fixed.push_str(rest);
        self.check_message(&fixed, 0, qos)
    }

    /// Whether a message may be sent to a topic that was checked before.
    pub(crate) fn check_content(&self, payload_bytes: usize, qos: QoS) -> Result<(), ProfileError> {
        self.check_qos(qos)?;
        match self.payload_bytes_max {
            Some(bytes_max) if payload_bytes > bytes_max => Err(ProfileError::Payload {
                name: self.name,
                bytes: payload_bytes,
                bytes_max,
            }),
            _ => Ok(()),
        }
    }

    /// Whether a subscription may be asked for there.
    pub fn check_filter(&self, filter: Filter<'_>, qos: QoS) -> Result<(), ProfileError> {
        self.check_topic(filter.matching())?;
        self.check_qos(qos)
    }

    /// Whether a client may be called so there.
    pub fn check_client_id(&self, client_id: &str) -> Result<(), ProfileError> {
        match self.client_id_bytes_max {
            Some(bytes_max) if client_id.len() > bytes_max => Err(ProfileError::ClientId {
                name: self.name,
                bytes: client_id.len(),
                bytes_max,
            }),
            _ => Ok(()),
        }
    }

    fn check_qos(&self, qos: QoS) -> Result<(), ProfileError> {
        match qos <= self.qos_max {
            true => Ok(()),
            false => Err(ProfileError::Qos {
                name: self.name,
                qos: qos.level(),
                qos_max: self.qos_max.level(),
            }),
        }
    }

    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), ProfileError> {
        if (self.topic_bytes_max, self.slashes_max) == (None, None) {
            return Ok(());
        }
        // Basic ingest: `$aws/rules/NAME/` is taken off before the rule sees the topic.
        let counted = match topic.strip_prefix("$aws/rules/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, topic)| topic),
            None => topic,
        };
        let slashes = counted.bytes().filter(|byte| *byte == b'/').count();
        match (self.topic_bytes_max, self.slashes_max) {
            (Some(bytes_max), _) if counted.len() > bytes_max => Err(ProfileError::Topic {
                name: self.name,
                bytes: counted.len(),
                bytes_max,
            }),
            (_, Some(slashes_max)) if slashes > slashes_max => Err(ProfileError::Slashes {
                name: self.name,
                slashes,
                slashes_max,
            }),
            _ => Ok(()),
        }
    }
}

/// What the broker would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ProfileError {
    #[error("{name} takes at most {bytes_max} bytes in a message, and this one has {bytes}")]
    Payload {
        name: &'static str,
        bytes: usize,
        bytes_max: usize,
    },
    #[error("{name} takes topics of at most {bytes_max} bytes, and this one has {bytes}")]
    Topic {
        name: &'static str,
        bytes: usize,
        bytes_max: usize,
    },
    #[error("{name} takes topics with at most {slashes_max} slashes, and this one has {slashes}")]
    Slashes {
        name: &'static str,
        slashes: usize,
        slashes_max: usize,
    },
    #[error("{name} offers QoS up to {qos_max}, not {qos}")]
    Qos {
        name: &'static str,
        qos: u8,
        qos_max: u8,
    },
    #[error("{name} takes client ids of at most {bytes_max} bytes, and this one has {bytes}")]
    ClientId {
        name: &'static str,
        bytes: usize,
        bytes_max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: Profile = Profile::AWS_IOT;
    const ONE: QoS = QoS::AtLeastOnce;

    #[test]
    fn what_aws_would_drop_the_connection_for_is_refused_at_the_bound_and_one_beyond() {
        assert_eq!(AWS.check_message("a", 128 * 1024, ONE), Ok(()));
        assert!(AWS.check_message("a", 128 * 1024 + 1, ONE).is_err());
        assert_eq!(AWS.check_message("1/2/3/4/5/6/7/8", 0, ONE), Ok(()));
        assert!(AWS.check_message("1/2/3/4/5/6/7/8/9", 0, ONE).is_err());
        assert_eq!(AWS.check_message(&"a".repeat(256), 0, ONE), Ok(()));
        assert!(AWS.check_message(&"a".repeat(257), 0, ONE).is_err());
        assert!(AWS.check_message("a", 0, QoS::ExactlyOnce).is_err());
        assert_eq!(AWS.check_client_id(&"a".repeat(128)), Ok(()));
        assert!(AWS.check_client_id(&"a".repeat(129)).is_err());
        let seven = Filter::parse("$share/g/1/2/3/4/5/6/7/#").unwrap();
        assert_eq!(AWS.check_filter(seven, ONE), Ok(()));
        assert!(AWS.check_filter(seven, QoS::ExactlyOnce).is_err());
    }

    #[test]
    fn a_route_is_refused_for_what_every_message_of_it_would_break() {
        let eight = "a/${b/c}/3/4/5/6/7/8";
        assert_eq!(AWS.check_route(eight, ONE), Ok(()));
        assert!(AWS.check_route(&format!("{eight}/9"), ONE).is_err());
        assert!(AWS.check_route(eight, QoS::ExactlyOnce).is_err());
        assert_eq!(
            AWS.check_route("$aws/rules/${rule}/1/2/3/4/5/6/7/8", ONE),
            Ok(())
        );
        assert_eq!(
            AWS.check_route(&format!("{}${{b}}", "a".repeat(256)), ONE),
            Ok(())
        );
        assert!(
            AWS.check_route(&format!("{}${{b}}a", "a".repeat(256)), ONE)
                .is_err()
        );
        assert_eq!(
            Profile::GENERIC.check_route("${a}/2/3/4/5/6/7/8/9/10", QoS::ExactlyOnce),
            Ok(())
        );
    }

    #[test]
    fn the_name_of_a_rule_does_not_count_as_topic() {
        assert_eq!(
            AWS.check_message("$aws/rules/store/1/2/3/4/5/6/7/8", 0, ONE),
            Ok(())
        );
        assert!(
            AWS.check_message("$aws/rules/store/1/2/3/4/5/6/7/8/9", 0, ONE)
                .is_err()
        );
    }

    #[test]
    fn an_error_names_the_broker_and_both_numbers() {
        let error = AWS.check_message("1/2/3/4/5/6/7/8/9", 0, ONE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AWS IoT Core takes topics with at most 7 slashes, and this one has 8"
        );
    }

    #[test]
    fn a_generic_broker_takes_everything() {
        let topic = "a/".repeat(100);
        let result = Profile::GENERIC.check_message(&topic, 1 << 24, QoS::ExactlyOnce);
        assert_eq!(result, Ok(()));
    }
}
