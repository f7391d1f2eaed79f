//! The programs that are not ours: the AWS emulator, boto3 as any other program of the owner, and
//! dynamodb-onetable as the owner's cloud application.
//!
//! `cargo xtask setup` installs them; they are never skipped for being absent.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually::eventually;

pub(crate) const TABLE: &str = "periwinkle";

/// An AWS account on this machine, with `cloud/template.yaml` deployed by the first `device`.
pub(crate) struct Cloud {
    pub(crate) endpoint: String,
    process: Option<Child>,
    folder: TempDir,
}

/// What the configuration of an agent needs to replicate.
pub(crate) struct Device {
    pub(crate) thing: String,
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) table: String,
    pub(crate) bucket: String,
    /// In the form of AWS's `credential_process`, mode 0600.
    pub(crate) credentials_file: PathBuf,
}

impl Cloud {
    /// The account that all tests share, each with a thing of its own; or one of its own for a test
    /// that runs without `cargo xtask test`.
    pub(crate) fn shared() -> Self {
        match std::env::var("PERIWINKLE_TEST_MINISTACK") {
            Ok(endpoint) => Self {
                endpoint,
                process: None,
                folder: tempfile::tempdir().unwrap(),
            },
            Err(_) => Self::own(),
        }
    }

    /// An account that this test may stop and start.
    pub(crate) fn own() -> Self {
        let endpoint = free_endpoint();
        let mut cloud = Self {
            endpoint,
            process: None,
            folder: tempfile::tempdir().unwrap(),
        };
        cloud.start();
        cloud
    }

    /// Goes on with the tables and keys that it had when it was stopped.
    pub(crate) fn start(&mut self) {
        let log = fs::File::create(self.folder.path().join("emulator.log")).unwrap();
        let child = Command::new(tool("venv-emulator/bin/ministack"))
            .env("GATEWAY_PORT", self.address().rsplit_once(':').unwrap().1)
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "localhost")
            .env("AUTH", "true")
            .env("IOT_MTLS_ENABLED", "0")
            .env("LOG_LEVEL", "WARNING")
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", self.folder.path().join("account"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        wait_for_listener(self.address());
    }

    /// Nothing answers at the endpoint any more.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.process.take() else {
            panic!("a shared account cannot be stopped")
        };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// Credentials with no more rights than a device has, good for as long as the account lives.
    pub(crate) fn device(&self, thing: &str) -> Device {
        let file = self.folder.path().join(format!("{thing}.json"));
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command
            .arg(asset("deploy.py"))
            .args(["--table", TABLE, "--long-lived"]);
        make_device(command, &self.endpoint, thing, file)
    }

    /// Does with the account what only its owner may: `script` finds DynamoDB as `dynamodb`.
    pub(crate) fn as_owner(&self, script: &str) {
        let client = format!(
            "import boto3\ndynamodb = boto3.client('dynamodb', endpoint_url='{}', \
             region_name='us-east-1', aws_access_key_id='test', aws_secret_access_key='test')\n",
            self.endpoint
        );
        let output = Command::new(tool("venv-judges/bin/python"))
            .arg("-c")
            .arg(client + script)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A program of the owner that knows nothing of Periwinkle; `xtask/assets/judge.py` lists the
    /// requests.
    pub(crate) fn judge(&self) -> Judge {
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command.arg(asset("judge.py")).args([
            "--endpoint",
            &self.endpoint,
            "--table",
            TABLE,
            "serve",
        ]);
        Judge::start(command)
    }

    /// A reader of the bucket; `xtask/assets/s3_judge.py` lists the requests.
    #[cfg(feature = "upload")]
    pub(crate) fn s3(&self, device: &Device) -> Judge {
        let mut command = s3_judge(device);
        command.args(["--endpoint", &self.endpoint]);
        Judge::start(command)
    }

    /// What the account makes of expressions; `xtask/assets/expr_judge.py` lists the requests.
    pub(crate) fn expressions(&self) -> Judge {
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command
            .arg(asset("expr_judge.py"))
            .args(["--endpoint", &self.endpoint]);
        Judge::start(command)
    }

    /// What the account answers to queries of indexes; `xtask/assets/index_judge.py` lists the
    /// requests.
    pub(crate) fn indexes(&self) -> Judge {
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command
            .arg(asset("index_judge.py"))
            .args(["--endpoint", &self.endpoint])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Judge::start(command)
    }

    /// What dynamodb-onetable makes of a schema; `xtask/assets/dialect.mjs` lists the requests.
    pub(crate) fn dialect(&self) -> Judge {
        let mut command = Command::new("node");
        command.env("PERIWINKLE_TEST_NODE_MODULES", tool("node/node_modules"));
        command
            .arg(asset("dialect.mjs"))
            .args([&self.endpoint, "dialect"]);
        Judge::start(command)
    }

    /// The owner's cloud application; `xtask/assets/onetable.mjs` lists the requests.
    pub(crate) fn onetable(&self, schema: &Path, thing: &str) -> Judge {
        let mut command = Command::new("node");
        command.env("PERIWINKLE_TEST_NODE_MODULES", tool("node/node_modules"));
        command
            .arg(asset("onetable.mjs"))
            .args([&self.endpoint, TABLE])
            .arg(schema)
            .arg(thing);
        Judge::start(command)
    }

    pub(crate) fn address(&self) -> &str {
        self.endpoint.strip_prefix("http://").unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// moto, the second judge of signatures: another program with the same table and one device.
pub(crate) struct SecondOpinion {
    pub(crate) device: Device,
    _moto: Moto,
}

/// moto by itself, in its verifying mode: the first four calls are free, and every later one is
/// checked.
pub(crate) struct Moto {
    pub(crate) endpoint: String,
    child: Child,
    folder: TempDir,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = free_endpoint();
        let address = endpoint.strip_prefix("http://").unwrap();
        let log = fs::File::create(folder.path().join("moto.log")).unwrap();
        let child = Command::new(tool("venv-judges/bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", address.rsplit_once(':').unwrap().1])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "4")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        wait_for_listener(address);
        Self {
            endpoint,
            child,
            folder,
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SecondOpinion {
    /// The free calls make the device's user.
    pub(crate) fn of(thing: &str) -> Self {
        let moto = Moto::start();
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command.arg(asset("second_opinion.py"));
        let file = moto.folder.path().join("device.json");
        let device = make_device(command, &moto.endpoint, thing, file);
        Self {
            device,
            _moto: moto,
        }
    }

    /// Reads with the device's own keys: there is no root that could.
    pub(crate) fn judge(&self) -> Judge {
        let mut command = Command::new(tool("venv-judges/bin/python"));
        command
            .arg(asset("judge.py"))
            .args(["--endpoint", &self.device.endpoint]);
        command.args(["--table", &self.device.table, "--credentials"]);
        command.arg(&self.device.credentials_file).arg("serve");
        Judge::start(command)
    }
}

#[cfg(feature = "upload")]
impl SecondOpinion {
    /// Reads the bucket with the device's own keys.
    pub(crate) fn s3(&self) -> Judge {
        let mut command = s3_judge(&self.device);
        command.args(["--endpoint", &self.device.endpoint]);
        command
            .arg("--credentials")
            .arg(&self.device.credentials_file);
        Judge::start(command)
    }
}

#[cfg(feature = "upload")]
fn s3_judge(device: &Device) -> Command {
    let mut command = Command::new(tool("venv-judges/bin/python"));
    command.arg(asset("s3_judge.py"));
    command.args(["--bucket", &device.bucket, "--region", &device.region]);
    command
}

/// Runs the script, which writes the device's keys and table to the file.
fn make_device(mut script: Command, endpoint: &str, thing: &str, file: PathBuf) -> Device {
    script
        .args(["--endpoint", endpoint, "--thing", thing, "--out"])
        .arg(&file);
    let output = script.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "no device at {endpoint}: {complaint}"
    );
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let text = |name: &str| written[name].as_str().unwrap().to_owned();
    Device {
        thing: text("Thing"),
        endpoint: text("Endpoint"),
        region: text("Region"),
        table: text("Table"),
        bucket: text("Bucket"),
        credentials_file: file,
    }
}

fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn wait_for_listener(address: &str) {
    eventually(&format!("a listener on {address}"), || {
        TcpStream::connect(address).ok()
    });
}

/// A program that answers one line of JSON with one line of JSON.
pub(crate) struct Judge {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            requests,
            answers,
        }
    }

    /// The answer, whether it is one or an error.
    pub(crate) fn try_ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer to {request}"))
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        let answer = self.try_ask(request);
        assert!(
            answer.get("error").is_none(),
            "{request} was answered with {answer}"
        );
        answer
    }

    /// The item, or null.
    pub(crate) fn get(&mut self, pk: &str, sk: &str) -> Value {
        self.ask(&json!({"op": "get", "pk": pk, "sk": sk}))["item"].take()
    }

    /// Waits until the item has these attributes.
    pub(crate) fn wait_for(&mut self, pk: &str, sk: &str, attributes: &Value) -> Value {
        self.ask(&json!({"op": "wait", "pk": pk, "sk": sk, "where": attributes}))["item"].take()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that `cargo xtask setup` has installed.
pub(crate) fn tool(path: &str) -> PathBuf {
    let tools = std::env::var_os("PERIWINKLE_TEST_TOOLS")
        .map_or_else(|| root().join(".test"), PathBuf::from);
    let tool = tools.join(path);
    assert!(
        tool.exists(),
        "{} is missing: run `cargo xtask test`, or once `cargo xtask setup`",
        tool.display()
    );
    tool
}

pub(crate) fn asset(name: &str) -> PathBuf {
    root().join("xtask/assets").join(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

const SCHEMA: &str = r#"{
    format: 'onetable:1.1.0', version: '0.0.1',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    params: { typeField: '_type', isoDates: true, timestamps: true },
    models: { Note: {
        pk: { type: 'string', value: 'dev#${deviceId}#rw' },
        sk: { type: 'string', value: 'Note#${id}' },
        deviceId: { type: 'string', required: true },
        id: { type: 'string', required: true },
        text: { type: 'string' },
    } },
}"#;

#[test]
fn a_cloud_application_and_a_plain_writer_see_each_others_rows() {
    let cloud = Cloud::shared();
    let device = cloud.device("counterparts");
    let schema = cloud.folder.path().join("schema.json5");
    fs::write(&schema, SCHEMA).unwrap();
    let mut application = cloud.onetable(&schema, &device.thing);
    let mut judge = cloud.judge();
    let note = json!({"op": "upsert", "model": "Note", "properties": {"id": "a", "text": "one"}});
    application.ask(&note);
    let pk = format!("dev#{}#rw", device.thing);
    assert_eq!(judge.get(&pk, "Note#a")["text"], "one");
    judge.ask(&json!({"op": "update", "pk": pk, "sk": "Note#a", "set": {"text": "two"}}));
    let found = application.ask(&json!({"op": "get", "model": "Note", "properties": {"id": "a"}}));
    assert_eq!(found["item"]["text"], "two");
}

#[test]
fn a_stopped_account_comes_back_with_its_rows() {
    let mut cloud = Cloud::own();
    let device = cloud.device("counterparts");
    let mut judge = cloud.judge();
    judge.ask(&json!({"op": "put", "item": {"pk": "a", "sk": "b", "n": 1}}));
    cloud.stop();
    assert!(
        judge
            .try_ask(&json!({"op": "get", "pk": "a", "sk": "b"}))
            .get("error")
            .is_some()
    );
    cloud.start();
    assert_eq!(judge.wait_for("a", "b", &json!({"n": 1}))["n"], "1");
    assert_eq!(
        (device.table.as_str(), device.region.as_str()),
        (TABLE, "us-east-1")
    );
    assert_eq!(device.endpoint, cloud.endpoint);
    assert!(device.credentials_file.is_file());
}
