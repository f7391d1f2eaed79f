//! What has to be known of a service to speak to it.

/// How requests and answers of a service look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `POST /` with JSON and the operation in `X-Amz-Target`.
    Json {
        /// `1.0` or `1.1`, in the content type.
        version: &'static str,
        /// What stands before the operation in the target.
        target: &'static str,
    },
    /// `POST /` with a form that names the operation; answers in XML.
    Query {
        /// The version in the form.
        version: &'static str,
    },
    /// A method and a path per operation; JSON both ways.
    RestJson,
    /// A method and a path per operation; XML both ways.
    RestXml,
}

/// Where a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In every region.
    Regional,
    /// At one host for all; signed for this region.
    Global {
        /// The region of its signatures.
        region: &'static str,
    },
    /// At a host that belongs to the account, which has to be configured.
    Account,
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is called on the command line, as in the AWS CLI.
    pub name: &'static str,
    /// The service in the scope of signatures.
    pub signing_name: &'static str,
    /// The first label of its host.
    pub endpoint: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Where it answers.
    pub reach: Reach,
}

impl Service {
    /// The service of that name.
    pub fn find(name: &str) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// All services, sorted by name.
    pub const fn all() -> &'static [Service] {
        SERVICES
    }
}

const fn json(
    name: &'static str,
    endpoint: &'static str,
    version: &'static str,
    target: &'static str,
) -> Service {
    Service {
        name,
        signing_name: endpoint,
        endpoint,
        protocol: Protocol::Json { version, target },
        reach: Reach::Regional,
    }
}

const fn query(name: &'static str, endpoint: &'static str, version: &'static str) -> Service {
    Service {
        name,
        signing_name: endpoint,
        endpoint,
        protocol: Protocol::Query { version },
        reach: Reach::Regional,
    }
}

const fn rest(name: &'static str, endpoint: &'static str, protocol: Protocol) -> Service {
    Service {
        name,
        signing_name: endpoint,
        endpoint,
        protocol,
        reach: Reach::Regional,
    }
}

const SERVICES: &[Service] = &[
    query("cloudformation", "cloudformation", "2010-05-15"),
    json(
        "cloudtrail",
        "cloudtrail",
        "1.1",
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
    ),
    rest("cloudtrail-data", "cloudtrail-data", Protocol::RestJson),
    query("cloudwatch", "monitoring", "2010-08-01"),
    json("dynamodb", "dynamodb", "1.0", "DynamoDB_20120810"),
    Service {
        signing_name: "dynamodb",
        ..json(
            "dynamodbstreams",
            "streams.dynamodb",
            "1.0",
            "DynamoDBStreams_20120810",
        )
    },
    json("events", "events", "1.1", "AWSEvents"),
    json("firehose", "firehose", "1.1", "Firehose_20150804"),
    Service {
        reach: Reach::Global {
            region: "us-east-1",
        },
        ..query("iam", "iam", "2010-05-08")
    },
    rest("iot", "iot", Protocol::RestJson),
    Service {
        signing_name: "iotdata",
        reach: Reach::Account,
        ..rest("iot-data", "data-ats.iot", Protocol::RestJson)
    },
    json("kinesis", "kinesis", "1.1", "Kinesis_20131202"),
    json("kms", "kms", "1.1", "TrentService"),
    rest("lambda", "lambda", Protocol::RestJson),
    json("logs", "logs", "1.1", "Logs_20140328"),
    rest("s3", "s3", Protocol::RestXml),
    json("secretsmanager", "secretsmanager", "1.1", "secretsmanager"),
    query("sns", "sns", "2010-03-31"),
    json("sqs", "sqs", "1.0", "AmazonSQS"),
    json("ssm", "ssm", "1.1", "AmazonSSM"),
    json("stepfunctions", "states", "1.0", "AWSStepFunctions"),
    query("sts", "sts", "2011-06-15"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_name() {
        let logs = Service::find("logs").unwrap();
        assert_eq!(
            logs.protocol,
            Protocol::Json {
                version: "1.1",
                target: "Logs_20140328"
            }
        );
        assert_eq!(Service::find("Logs"), None);
        assert!(Service::all().is_sorted_by_key(|service| service.name));
    }
}
