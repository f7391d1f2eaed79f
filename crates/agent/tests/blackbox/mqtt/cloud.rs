//! AWS IoT Core, played by the emulator: certificates that it issued, policies, takeover.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use periwinkle::mqtt::{ConnectionState, Mqtt, Options, QoS};
use serde_json::Value;
use tempfile::TempDir;

use super::broker::free_port;
use super::{connected, in_time, next};
use crate::counterparts::tool;
use crate::eventually::eventually;

/// An account on this machine whose MQTT listener is open; killed when it goes out of scope.
struct Account {
    process: Child,
    folder: TempDir,
    gateway: u16,
    mqtt: u16,
}

impl Account {
    fn start() -> Account {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, mqtt) = (free_port(), free_port());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(tool("venv-emulator/bin/ministack"))
            .env("GATEWAY_PORT", gateway.to_string())
            .env("IOT_MTLS_PORT", mqtt.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "localhost")
            .env("AUTH", "true")
            .env("LOG_LEVEL", "WARNING")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        for port in [gateway, mqtt] {
            eventually("the account answers", || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        Account {
            process,
            folder,
            gateway,
            mqtt,
        }
    }

    /// A thing with a certificate that may talk under `dev/NAME/`, and its files.
    fn device(&self, name: &str) -> Device {
        let made = self.script(&DEVICE.replace("NAME", name));
        let made: Value = serde_json::from_str(&made).unwrap();
        let file = |kind: &str, name: &str| {
            let path = self.folder.path().join(name);
            fs::write(&path, made[kind].as_str().unwrap()).unwrap();
            path
        };
        Device {
            name: name.to_owned(),
            certificate: file("certificate", &format!("{name}.pem")),
            key: file("key", &format!("{name}.key")),
            ca: file("ca", "ca.pem"),
            id: made["id"].as_str().unwrap().to_owned(),
            mqtt: self.mqtt,
        }
    }

    /// As the owner of the account, with boto3; what it printed.
    fn script(&self, script: &str) -> String {
        let head = format!(
            "import boto3, json, urllib.request\nendpoint = 'http://127.0.0.1:{}'\n\
             iot = boto3.client('iot', endpoint_url=endpoint, region_name='us-east-1', \
             aws_access_key_id='test', aws_secret_access_key='test')\n",
            self.gateway
        );
        let output = Command::new(tool("venv-judges/bin/python"))
            .arg("-c")
            .arg(head + script)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log"));
            eprintln!("--- the emulator's log\n{}", log.unwrap_or_default());
        }
    }
}

const DEVICE: &str = r#"
arn = 'arn:aws:iot:us-east-1:000000000000:'
allow = lambda action, what: {'Effect': 'Allow', 'Action': 'iot:' + action, 'Resource': arn + what}
policy = {'Version': '2012-10-17', 'Statement': [
    allow('Connect', 'client/NAME'),
    allow('Publish', 'topic/dev/NAME/*'),
    allow('Receive', 'topic/dev/NAME/*'),
    allow('Subscribe', 'topicfilter/dev/NAME/*'),
]}
iot.create_thing(thingName='NAME')
iot.create_policy(policyName='only-NAME', policyDocument=json.dumps(policy))
made = iot.create_keys_and_certificate(setAsActive=True)
iot.attach_policy(policyName='only-NAME', target=made['certificateArn'])
iot.attach_thing_principal(thingName='NAME', principal=made['certificateArn'])
ca = urllib.request.urlopen(endpoint + '/_ministack/iot/ca.pem').read().decode()
print(json.dumps({'certificate': made['certificatePem'], 'key': made['keyPair']['PrivateKey'],
                  'ca': ca, 'id': made['certificateId']}))
"#;

struct Device {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    id: String,
    mqtt: u16,
}

impl Device {
    fn options(&self) -> Options {
        let address = format!("mqtts://localhost:{}", self.mqtt);
        let mut options = Options::new(&address, &self.name).unwrap();
        options.tls.ca = vec![self.ca.clone()];
        options.tls.identity = Some((self.certificate.clone(), self.key.clone()));
        options.session.profile = periwinkle_core::mqtt::policy::Profile::AWS_IOT;
        options
    }
}

async fn exchange(mqtt: &Mqtt, name: &str) {
    let topic = format!("dev/{name}/echo");
    let mut echo = mqtt
        .subscribe(&topic, QoS::AtLeastOnce)
        .await
        .expect("it is allowed");
    let sent = mqtt.publish(&topic, "hi").qos(QoS::AtLeastOnce).acked();
    in_time("an acknowledgement", sent)
        .await
        .expect("it is allowed");
    assert_eq!(next(&mut echo).await.text(), Some("hi"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_may_do_what_its_policy_says_and_no_more() {
    let account = Account::start();
    let device = account.device("pump-7");
    let mqtt = connected(device.options()).await;
    exchange(&mqtt, "pump-7").await;
    let foreign = mqtt.subscribe("dev/pump-8/#", QoS::AtLeastOnce);
    let told = in_time("an answer", foreign.into_future()).await;
    assert!(told.is_err(), "{told:?}");
    let large = mqtt
        .publish("dev/pump-7/x", vec![0; 128 * 1024 + 1])
        .detach();
    assert!(large.is_err(), "AWS would drop the connection");
    let exact = mqtt
        .publish("dev/pump-7/x", "x")
        .qos(QoS::ExactlyOnce)
        .detach();
    assert!(exact.is_err(), "AWS has no QoS 2");
    exchange(&mqtt, "pump-7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_switched_off_is_refused() {
    let account = Account::start();
    let device = account.device("pump-7");
    account.script(&format!(
        "iot.update_certificate(certificateId='{}', newStatus='INACTIVE')\n",
        device.id
    ));
    let mqtt = Mqtt::connect(device.options()).unwrap();
    let mut connection = mqtt.connection();
    let refused = |state: &ConnectionState| {
        assert!(!state.is_connected(), "it must not be taken");
        matches!(state, ConnectionState::Offline { why: Some(_) })
    };
    in_time("a refusal", connection.wait_for(refused))
        .await
        .unwrap();
}

/// Two devices with one name: the one that was thrown out does not come back at once, or they would
/// throw each other out for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_name_another_one_took_does_not_fight_for_it() {
    let account = Account::start();
    let device = account.device("pump-7");
    let first = connected(device.options()).await;
    let second = connected(device.options()).await;
    let mut connection = first.connection();
    let out = connection.wait_for(|state| matches!(state, ConnectionState::Offline { .. }));
    in_time("the takeover", out).await.unwrap();
    let mut changes = second.connection();
    changes.mark_unchanged();
    for _ in 0..50 {
        exchange(&second, "pump-7").await;
    }
    assert!(!changes.has_changed().unwrap(), "the second one stays");
    assert!(!first.connection().borrow().is_connected());
}
