//! The service `mqtt`: the client as the configuration describes it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::config::{self, Broker, BrokerProfile, MqttVersion};
use periwinkle_core::limits::{
    MQTT_IN_FLIGHT_MESSAGES_MAX, MQTT_IN_FLIGHT_OF_3_1_1_MESSAGES_MAX, MQTT_RECONNECT_PAUSE_MIN,
};
use periwinkle_core::mqtt::codec::{PropertiesBuf, Property, Version};
use periwinkle_core::mqtt::outbox::{Budget, Overflow};
use periwinkle_core::mqtt::policy::{ConnectionConfig, Profile};
use periwinkle_core::mqtt::route::{self, Route, RouteError};
use periwinkle_core::mqtt::session::{Config, WillMessage};
use periwinkle_core::schema::Schema;
use periwinkle_db::Database;
use tokio::sync::Mutex;

use super::client::{Mqtt, check};
use super::driver::Driver;
use super::error::MqttError;
use super::keeper::SHELF;
use super::link::Dialer;
use super::options::{Options, Presign, TlsOptions};
use super::routes;
use crate::net::clock::Clock;
use crate::secret_file::{self, SecretFileError};
use crate::supervise::Service;

/// The client of an agent, before it runs.
#[derive(Debug)]
pub(crate) struct MqttService {
    mqtt: Mqtt,
    /// The client goes on where it was when it is started again.
    driver: Arc<Mutex<Driver>>,
    routes: Vec<config::Route>,
    db: Database,
}

impl MqttService {
    /// Opens the queue in the database. `device` is what the client is called unless configured.
    pub(crate) fn open(
        config: &config::Mqtt,
        device: &str,
        presign: Option<Arc<dyn Presign>>,
        clock: &Clock,
        db: &Database,
    ) -> Result<MqttService, MqttError> {
        let mut options = checked(config, device, db.schema())?;
        options.presign = presign;
        let (mqtt, driver) = Mqtt::open(options, clock.clone(), Some(db.shelf(SHELF)))?;
        Ok(MqttService {
            mqtt,
            driver: Arc::new(Mutex::new(driver)),
            routes: config.route.clone(),
            db: db.clone(),
        })
    }

    /// What everybody else uses.
    pub(crate) fn handle(&self) -> Mqtt {
        self.mqtt.clone()
    }

    /// The entry for the supervisor.
    pub(crate) fn service(&self) -> Service {
        let (mqtt, driver, db) = (self.mqtt.clone(), self.driver.clone(), self.db.clone());
        let routes: Arc<[config::Route]> = self.routes.as_slice().into();
        Service::new("mqtt", move |mut ctx| {
            let (driver, mqtt) = (driver.clone(), mqtt.clone());
            let carrying = routes::Carrying::start(&mqtt, &db, &routes);
            async move {
                ctx.ready();
                let mut driver = driver.lock().await;
                driver.run(&mut ctx.stop).await;
                carrying.finish(driver.saved()).await;
                Ok(())
            }
        })
    }
}

/// What the section `[mqtt]` says, if all of it can work.
pub(crate) fn checked(
    config: &config::Mqtt,
    device: &str,
    schema: &Schema,
) -> Result<Options, MqttError> {
    let options = options(config, device)?;
    check(&options)?;
    let rules: Vec<Route> = config.route.iter().map(config::Route::rule).collect();
    for rule in &rules {
        let checked = rule.check(schema, &["deviceId"], &options.session.profile);
        checked.map_err(|error| wrong_rule(rule, &error))?;
    }
    route::check_loops(&rules).map_err(|(place, error)| wrong_rule(&rules[place], &error))?;
    Ok(options)
}

/// Whether the files can be used that TLS is made from.
pub(crate) fn check_files(options: &Options) -> Result<(), MqttError> {
    Dialer::new(options, &Clock::new(Path::new(""))).map(drop)
}

fn wrong_rule(rule: &Route, error: &RouteError) -> MqttError {
    let which = match rule {
        Route::In(rule) => format!("from = {:?}", rule.from),
        Route::Out(rule) => format!("to = {:?}", rule.to.source()),
    };
    MqttError::Options(format!("the `[[mqtt.route]]` with {which}: {error}"))
}

/// What the section `[mqtt]` says.
fn options(config: &config::Mqtt, device: &str) -> Result<Options, MqttError> {
    let Some(Broker(address)) = &config.url else {
        return Err(MqttError::Options("`mqtt.url` is not set".to_owned()));
    };
    let client_id = config.client_id.as_ref().map(config::ClientId::as_str);
    let mut options = Options::new(&address.to_string(), client_id.unwrap_or(device))?;
    options.address = address.clone();
    session(config, &mut options.session)?;
    options.connection = ConnectionConfig {
        schedule: config.schedule.schedule(),
        idle: config.idle,
        pause: (
            MQTT_RECONNECT_PAUSE_MIN.min(config.pause_max),
            config.pause_max,
        ),
        ..ConnectionConfig::default()
    };
    options.budget = Budget {
        rows_max: config.queue_rows_max as usize,
        bytes_max: config.queue_bytes_max.as_usize(),
        age_max: config.queue_age_max.duration(),
        overflow: match config.overflow {
            config::Overflow::Refuse => Overflow::Refuse,
            config::Overflow::DropOldest => Overflow::DropOldest,
        },
    };
    options.tls = TlsOptions {
        ca: config.ca.iter().cloned().collect(),
        identity: config.certificate.clone().zip(config.key.clone()),
        alpn: config.alpn.iter().map(ToString::to_string).collect(),
        server_name: None,
    };
    if let Some(proxy) = &config.proxy {
        let proxy = secret_file::proxy(proxy, config.proxy_login_file.as_deref());
        options.proxy = Some(proxy.map_err(|error| wrong("mqtt.proxy_login_file", &error))?);
    }
    options.password_file.clone_from(&config.password_file);
    options.connect_wait = config.connect_timeout;
    options.reply_topic = config.reply_topic.as_ref().map(ToString::to_string);
    options.durable_topics = config.durable.iter().map(ToString::to_string).collect();
    Ok(options)
}

fn session(config: &config::Mqtt, session: &mut Config) -> Result<(), MqttError> {
    session.version = match config.version {
        MqttVersion::V5 => Version::V5,
        MqttVersion::V311 => Version::V311,
    };
    session.profile = match config.broker {
        BrokerProfile::Generic => Profile::GENERIC,
        BrokerProfile::AwsIot => Profile::AWS_IOT,
    };
    session.clean_start = config.clean_start;
    session.session_expiry = config.session_expiry.duration();
    session.keep_alive = config.keep_alive;
    session.user_name = config.user.as_ref().map(ToString::to_string);
    session.password = match (&config.password, &config.password_file) {
        (Some(password), _) => Some(password.0.clone()),
        (None, Some(file)) => {
            let password = secret_file::password(file);
            Some(password.map_err(|error| wrong("mqtt.password_file", &error))?)
        }
        (None, None) => None,
    };
    let sixteen_bits = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    session.in_flight_max = match (config.in_flight_max, session.version) {
        (Some(number), _) => sixteen_bits(number),
        (None, Version::V5) => MQTT_IN_FLIGHT_MESSAGES_MAX,
        (None, Version::V311) => MQTT_IN_FLIGHT_OF_3_1_1_MESSAGES_MAX,
    };
    session.receive_max = sixteen_bits(config.receive_max);
    session.packet_bytes_max = config.packet_bytes_max.as_usize();
    session.spill_delay = config.spill_delay;
    session.will = will(config)?;
    Ok(())
}

fn will(config: &config::Mqtt) -> Result<Option<WillMessage>, MqttError> {
    let Some(topic) = &config.will_topic else {
        return Ok(None);
    };
    let mut properties = PropertiesBuf::new();
    if config.will_delay > Duration::ZERO {
        let seconds = u32::try_from(config.will_delay.as_secs()).unwrap_or(u32::MAX);
        properties.push(Property::WillDelayInterval(seconds))?;
    }
    let payload = config.will_payload.as_ref();
    Ok(Some(WillMessage {
        topic: topic.to_string(),
        payload: payload.map_or_else(Vec::new, |payload| payload.as_str().as_bytes().to_vec()),
        qos: config.will_qos,
        retain: config.will_retain,
        properties,
    }))
}

fn wrong(key: &str, error: &SecretFileError) -> MqttError {
    MqttError::Options(format!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use periwinkle_core::config::{File, Sources, load};
    use periwinkle_core::mqtt::codec::QoS;

    fn configured(text: &str) -> Result<Options, MqttError> {
        options(&config_of(text), "pump-7")
    }

    fn config_of(text: &str) -> config::Mqtt {
        let file = File {
            name: "periwinkle.toml",
            text,
        };
        let loaded = load(&Sources {
            file: Some(file),
            features: &["mqtt"],
            ..Sources::default()
        });
        loaded.unwrap().config.mqtt
    }

    #[test]
    fn the_section_becomes_options() {
        let options = configured(
            "[mqtt]\n\
             enable = true\n\
             url = 'mqtts://broker:443'\n\
             version = '3.1.1'\n\
             broker = 'aws-iot'\n\
             user = 'me'\n\
             password = 'secret'\n\
             alpn = ['x-amzn-mqtt-ca']\n\
             queue_rows_max = 7\n\
             overflow = 'drop-oldest'\n\
             schedule = 'night'\n\
             durable = ['alarm/#']\n\
             will_topic = 'gone'\n\
             will_qos = 1\n",
        )
        .unwrap();
        assert_eq!(options.address.to_string(), "mqtts://broker:443");
        let session = &options.session;
        assert_eq!(
            (session.client_id.as_str(), session.version),
            ("pump-7", Version::V311)
        );
        assert_eq!(session.profile, Profile::AWS_IOT);
        assert_eq!(session.password, Some("secret".into()));
        assert_eq!(options.tls.alpn, ["x-amzn-mqtt-ca"]);
        assert_eq!(options.budget.rows_max, 7);
        assert_eq!(options.budget.overflow, Overflow::DropOldest);
        assert_eq!(options.connection.schedule, "night".parse().unwrap());
        assert_eq!(options.durable_topics, ["alarm/#"]);
        let will = session.will.as_ref().unwrap();
        assert_eq!((will.topic.as_str(), will.qos), ("gone", QoS::AtLeastOnce));
    }

    #[test]
    fn a_rule_or_a_will_that_the_broker_or_the_schema_refuses_is_told_at_the_start() {
        let schema = crate::database::built_in_schema();
        let told = |keys: &str| {
            let config = config_of(&format!("[mqtt]\nurl = 'mqtts://broker'\n{keys}\n"));
            checked(&config, "pump-7", &schema)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let good = "[[mqtt.route]]\nmodel = 'Setting'\nto = 'up/${deviceId}/${id}'";
        assert_eq!(told(good), Ok(()));
        for (keys, words) in [
            (
                "[[mqtt.route]]\nmodel = 'Nonsense'\nto = 'a'",
                "the `[[mqtt.route]]` with to = \"a\": there is no model \"Nonsense\"",
            ),
            (
                "broker = 'aws-iot'\n[[mqtt.route]]\nmodel = 'Setting'\nfrom = 'a'\nqos = 2",
                "with from = \"a\"",
            ),
            ("broker = 'aws-iot'\nwill_topic = 'a'\nwill_qos = 2", "QoS"),
        ] {
            let told = told(keys).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_broker_that_cannot_say_how_many_it_takes_gets_few_at_once() {
        let table = [
            ("version = '5'", 1000),
            ("version = '3.1.1'", 20),
            ("version = '3.1.1'\nin_flight_max = 7", 7),
        ];
        for (keys, expected) in table {
            let text = format!("[mqtt]\nurl = 'mqtt://broker'\n{keys}\n");
            let options = configured(&text).unwrap();
            assert_eq!(options.session.in_flight_max, expected, "{keys}");
        }
    }

    #[test]
    fn passwords_come_from_files_whose_keys_are_named_when_they_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (ours, proxys) = (file("ours", "secret \r\n"), file("proxys", "na:pa\n"));
        let text = |ours: &str, proxys: &str| {
            format!(
                "[mqtt]\nurl = 'mqtt://broker'\nproxy = 'socks5h://p'\n\
                 password_file = '{ours}'\nproxy_login_file = '{proxys}'\n"
            )
        };
        let both = configured(&text(&ours, &proxys)).unwrap();
        assert_eq!(both.session.password, Some("secret ".into()));
        let proxy = both.proxy.unwrap();
        assert_eq!(proxy.to_string(), "socks5h://p:1080");
        assert_eq!(proxy.credentials, Some(("na".to_owned(), "pa".into())));
        for (text, expected) in [
            (text("/no", &proxys), "mqtt.password_file: /no: "),
            (text(&ours, "/no"), "mqtt.proxy_login_file: /no: "),
        ] {
            let error = configured(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
