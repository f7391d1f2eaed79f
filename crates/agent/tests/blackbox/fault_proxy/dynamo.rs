//! What happens on the way to DynamoDB, and what its table has applied.

use serde_json::Value;

use super::{Fate, FaultProxy, Faults, Refusal, Request};

/// A proxy in front of DynamoDB.
pub type DynamoProxy = FaultProxy<Dynamo>;

/// What happens to the requests of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    #[default]
    None,
    /// They are refused because there were too many.
    Throttle,
    /// They pass, and every other reply is lost.
    LoseReplies,
    /// They pass with the first of these texts in their header replaced by the second.
    Alter(&'static str, &'static str),
}

#[derive(Debug, Default)]
pub struct Dynamo {
    fault: Fault,
    requests: usize,
    applied: Vec<Applied>,
}

/// A write of an item that the table has applied, whether or not its reply came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub sk: String,
    pub mark: String,
    pub version: u64,
}

impl DynamoProxy {
    pub fn set(&self, fault: Fault) {
        self.faults().fault = fault;
    }

    /// The writes that were applied, in the order of their answers.
    pub fn applied(&self) -> Vec<Applied> {
        self.faults().applied.clone()
    }

    pub fn requests(&self) -> usize {
        self.faults().requests
    }
}

const THROTTLED: Refusal = Refusal {
    status: "400 Bad Request",
    content_type: "application/x-amz-json-1.0",
    body: "{\"__type\":\"com.amazonaws.dynamodb.v20120810#\
           ProvisionedThroughputExceededException\",\"message\":\"slow down\"}",
};

impl Faults for Dynamo {
    fn fate(&mut self, head: &mut String) -> Fate {
        self.requests += 1;
        match self.fault {
            Fault::Throttle => Fate::Refused(THROTTLED),
            Fault::LoseReplies if self.requests.is_multiple_of(2) => Fate::LostReply,
            Fault::Alter(from, to) => {
                assert!(
                    head.contains(from),
                    "there is no {from:?} to be altered in {head}"
                );
                *head = head.replace(from, to);
                Fate::Pass
            }
            Fault::None | Fault::LoseReplies => Fate::Pass,
        }
    }

    fn answered(&mut self, request: &Request, reply: &[u8]) {
        if reply.starts_with(b"HTTP/1.1 200") {
            self.applied.extend(applied(request));
        }
    }
}

/// What a write that was answered with success has applied.
fn applied(request: &Request) -> Option<Applied> {
    let head = request.head.to_ascii_lowercase();
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    if head.contains("dynamodb_20120810.putitem") {
        let item = &body["Item"];
        return applied_of(&item["sk"], &item["_m"], &item["_v"]);
    }
    if !head.contains("dynamodb_20120810.updateitem") {
        return None;
    }
    let names = body["ExpressionAttributeNames"].as_object()?;
    let expression = body["UpdateExpression"].as_str()?;
    let written = |attribute: &str| {
        let (placeholder, _) = names.iter().find(|(_, name)| *name == attribute)?;
        let (_, rest) = expression.split_once(&format!("{placeholder} = "))?;
        let value = rest.split([',', ' ']).next()?;
        Some(body["ExpressionAttributeValues"][value].clone())
    };
    applied_of(&body["Key"]["sk"], &written("_m")?, &written("_v")?)
}

fn applied_of(sk: &Value, mark: &Value, version: &Value) -> Option<Applied> {
    Some(Applied {
        sk: sk["S"].as_str()?.to_owned(),
        mark: mark["S"].as_str()?.to_owned(),
        version: version["N"].as_str()?.parse().ok()?,
    })
}
