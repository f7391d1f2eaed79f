//! Calls of AWS: any operation by names and values, and the typed ones of DynamoDB and STS.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use periwinkle_core::aws::dynamodb::{
    self, BatchGetItem, BatchWriteItem, CallError, Operation, Page, Query, RequestError,
    read_answer,
};
use periwinkle_core::aws::sts::{
    AssumeRole, CallerIdentity, GetCallerIdentity, StsCallError, StsRequestError,
};
use periwinkle_core::aws::wire::{
    Call, CallFailed, CallRefused, Endpoint, EndpointError, EndpointOptions, HttpAnswer,
    HttpRequest, Service,
};
use periwinkle_core::aws::{Credentials, Effect, Remedy, ServiceError};
use periwinkle_core::fetch::{Url, UrlError};
use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use periwinkle_core::value::{Map, Value};
use thiserror::Error;
use tokio::time::sleep;

use super::client::Fetch;
use super::error::{FetchError, SignError};
use crate::net::entropy;

/// Why a call of AWS has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AwsError {
    /// The service said why.
    #[error("{0}")]
    Service(#[from] ServiceError),
    /// No answer came.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// The call cannot be made: the service or the operation is not known.
    #[error("{0}")]
    Call(#[from] CallRefused),
    /// There is no endpoint for it.
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    /// A bound of DynamoDB is passed.
    #[error("{0}")]
    DynamoDb(#[from] RequestError),
    /// STS would not take the request.
    #[error("{0}")]
    Sts(#[from] StsRequestError),
    /// The answer has a good status and another form: whether it was done is unknown.
    #[error("an answer with a good status that is not the service's: {0}")]
    Answer(String),
    /// Some of a batch was not done, however often it was asked for.
    #[error("the service left {0} elements of a batch undone; try them again later")]
    Unprocessed(usize),
}

/// Where and as whom AWS is called; clones are cheap.
#[derive(Clone, Debug)]
pub struct Aws {
    fetch: Fetch,
    region: Option<String>,
    endpoint: Option<String>,
    credentials: Option<Credentials>,
    deadline: Duration,
    retries_max: u32,
}

impl Fetch {
    /// AWS, in the region and with the keys of the configuration.
    pub fn aws(&self) -> Aws {
        Aws {
            fetch: self.clone(),
            region: None,
            endpoint: None,
            credentials: None,
            deadline: limits::FETCH_TOTAL_MAX,
            retries_max: limits::AWS_RETRIES_MAX,
        }
    }
}

impl Aws {
    /// In another region.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> Aws {
        Aws {
            region: Some(region.into()),
            ..self
        }
    }

    /// At another address: an emulator, or an endpoint of the account.
    #[must_use]
    pub fn endpoint(self, url: impl Into<String>) -> Aws {
        Aws {
            endpoint: Some(url.into()),
            ..self
        }
    }

    /// With other keys.
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Aws {
        Aws {
            credentials: Some(credentials),
            ..self
        }
    }

    /// The time for one request with its answer; each retry has it anew.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Aws {
        Aws { deadline, ..self }
    }

    /// How often a call is made again that was throttled, or that did not reach the service.
    #[must_use]
    pub fn retries(self, retries_max: u32) -> Aws {
        Aws {
            retries_max,
            ..self
        }
    }

    /// Calls any operation of any known service by its names, as in AWS's API reference.
    ///
    /// # Errors
    /// What the service refused or failed to do, or why it was not asked.
    pub async fn call(
        &self,
        service: &str,
        operation: &str,
        parameters: Map,
    ) -> Result<Value, AwsError> {
        self.send_call(&Call::new(service, operation, parameters)?, operation)
            .await
    }

    /// The same for operations whose results come in pages.
    ///
    /// # Errors
    /// When the service or the operation is not known.
    pub fn pages(
        &self,
        service: &str,
        operation: &str,
        parameters: Map,
    ) -> Result<Pages, AwsError> {
        Ok(Pages {
            aws: self.clone(),
            operation: operation.to_owned(),
            next: Some(Call::new(service, operation, parameters)?),
        })
    }

    async fn send_call(&self, call: &Call, operation: &str) -> Result<Value, AwsError> {
        let request = call.request()?;
        let read = |answer: HttpAnswer<'_>| {
            call.answer(answer).map_err(|failed| match failed {
                CallFailed::Service(error) => AwsError::Service(error),
                other => AwsError::Answer(other.to_string()),
            })
        };
        self.exchange(call.service(), &request, is_reading(operation), read)
            .await
    }

    /// DynamoDB: one typed operation.
    ///
    /// # Errors
    /// What the service refused or failed to do, or why it was not asked.
    pub async fn dynamodb<O: Operation>(&self, operation: &O) -> Result<O::Output, AwsError> {
        let dynamodb::Request { target, body } = operation.request()?;
        let reading = is_reading(target.rsplit('.').next().unwrap_or_default());
        let mut request = HttpRequest::new("POST", "/")
            .with_header("content-type", dynamodb::CONTENT_TYPE)
            .with_header("x-amz-target", target);
        request.body = body.into_bytes();
        let read = |answer: HttpAnswer<'_>| {
            let error_type = answer.header("x-amzn-errortype");
            let output = read_answer::<O>(answer.status, error_type, answer.body);
            output.map_err(|error| match error {
                CallError::Service(error) => AwsError::Service(error),
                other => AwsError::Answer(other.to_string()),
            })
        };
        self.exchange(known("dynamodb"), &request, reading, read)
            .await
    }

    /// A query of DynamoDB, page by page.
    pub fn query(&self, query: Query) -> QueryPages {
        QueryPages {
            aws: self.clone(),
            next: Some(query),
        }
    }

    /// Reads items of DynamoDB by their keys, as many as one batch takes; what the service leaves
    /// undone is asked for again.
    ///
    /// # Errors
    /// As [`dynamodb`](Aws::dynamodb), and when it goes on leaving some undone.
    pub async fn batch_get(&self, mut batch: BatchGetItem) -> Result<Vec<Map>, AwsError> {
        let mut items = Vec::new();
        let mut backoff = backoff();
        for _ in 0..=self.retries_max {
            let answer = self.dynamodb(&batch).await?;
            items.extend(answer.items);
            if answer.unprocessed.is_empty() {
                return Ok(items);
            }
            batch.keys = answer.unprocessed;
            pause(&mut backoff).await?;
        }
        Err(AwsError::Unprocessed(batch.keys.len()))
    }

    /// Writes items of DynamoDB, as many as one batch takes; what the service leaves undone is
    /// asked for again.
    ///
    /// # Errors
    /// As [`dynamodb`](Aws::dynamodb), and when it goes on leaving some undone.
    pub async fn batch_write(&self, mut batch: BatchWriteItem) -> Result<(), AwsError> {
        let mut backoff = backoff();
        for _ in 0..=self.retries_max {
            let undone = self.dynamodb(&batch).await?;
            if undone.is_empty() {
                return Ok(());
            }
            batch.writes = undone;
            pause(&mut backoff).await?;
        }
        Err(AwsError::Unprocessed(batch.writes.len()))
    }

    /// STS: whose keys these are.
    ///
    /// # Errors
    /// What the service refused or failed to do, or why it was not asked.
    pub async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        let request = GetCallerIdentity.request();
        let read = |answer: HttpAnswer<'_>| GetCallerIdentity::answer(answer).map_err(of_sts);
        self.exchange(known("sts"), &request, true, read).await
    }

    /// STS: temporary keys of a role.
    ///
    /// # Errors
    /// What the service refused or failed to do, or why it was not asked.
    pub async fn assume_role(&self, role: &AssumeRole) -> Result<Credentials, AwsError> {
        let request = role.request()?;
        let read = |answer: HttpAnswer<'_>| AssumeRole::answer(answer).map_err(of_sts);
        // Keys that nobody received harm nobody.
        self.exchange(known("sts"), &request, true, read).await
    }

    /// Sends a request until there is a result, or an error that another attempt does not change.
    async fn exchange<T>(
        &self,
        service: &Service,
        request: &HttpRequest,
        reading: bool,
        read: impl Fn(HttpAnswer<'_>) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let endpoint = self.endpoint_of(service)?;
        let body = Bytes::from(request.body.clone());
        let mut backoff = backoff();
        let mut left = self.retries_max;
        loop {
            let result = self
                .attempt(service, &endpoint, request, body.clone(), reading, &read)
                .await;
            let again = match &result {
                Err(AwsError::Service(error)) => {
                    let harmless = reading || error.effect() == Effect::NotApplied;
                    error.remedy() == Remedy::Repeat && harmless
                }
                _ => false,
            };
            if !again || left == 0 || !self.fetch.shared.budget().take() {
                return result;
            }
            left -= 1;
            pause(&mut backoff).await?;
        }
    }

    async fn attempt<T>(
        &self,
        service: &Service,
        endpoint: &Endpoint,
        request: &HttpRequest,
        body: Bytes,
        reading: bool,
        read: &impl Fn(HttpAnswer<'_>) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let unknown = |_| FetchError::Request(format!("{:?} is no method", request.method));
        let method = Method::from_bytes(request.method.as_bytes()).map_err(unknown)?;
        let mut builder = self
            .fetch
            .request(method, &endpoint.address(request))
            .body(body)
            .sigv4(service.signing_name)
            .region(endpoint.region.as_str())
            // A redirect is an error of the service, which names the right region.
            .redirects(0)
            .deadline(self.deadline);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(credentials) = &self.credentials {
            builder = builder.credentials(credentials.clone());
        }
        if reading {
            builder = builder.idempotent();
        }
        let answer = builder.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?;
        let fields: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        read(HttpAnswer {
            status,
            headers: &fields,
            body: &body,
        })
    }

    fn endpoint_of(&self, service: &Service) -> Result<Endpoint, AwsError> {
        let region = self.region.as_deref().or(self.fetch.shared.region());
        let region = region
            .ok_or_else(|| FetchError::from(SignError::Region(format!("of {}", service.name))))?;
        let custom = self.endpoint.as_deref().map(Url::parse).transpose();
        let custom = custom.map_err(|error: UrlError| FetchError::from(error))?;
        let options = EndpointOptions {
            custom: custom.as_ref(),
            ..EndpointOptions::default()
        };
        Ok(Endpoint::of(service, region, options)?)
    }
}

/// Results of an operation, page by page.
#[derive(Debug)]
pub struct Pages {
    aws: Aws,
    operation: String,
    next: Option<Call>,
}

impl Pages {
    /// The next page; `None` after the last one.
    ///
    /// # Errors
    /// As [`Aws::call`]; the same page is asked for again then.
    pub async fn next(&mut self) -> Result<Option<Value>, AwsError> {
        let Some(call) = &self.next else {
            return Ok(None);
        };
        let page = self.aws.send_call(call, &self.operation).await?;
        self.next = call.next_page(&page);
        Ok(Some(page))
    }
}

/// A query of DynamoDB, page by page.
#[derive(Debug)]
pub struct QueryPages {
    aws: Aws,
    next: Option<Query>,
}

impl QueryPages {
    /// The next page, which may be empty; `None` after the last one.
    ///
    /// # Errors
    /// As [`Aws::dynamodb`]; the same page is asked for again then.
    pub async fn next(&mut self) -> Result<Option<Page>, AwsError> {
        let Some(query) = &mut self.next else {
            return Ok(None);
        };
        let page = self.aws.dynamodb(&*query).await?;
        match &page.next {
            Some(start) => query.start = Some(start.clone()),
            None => self.next = None,
        }
        Ok(Some(page))
    }
}

const fn backoff() -> Backoff {
    Backoff::full(limits::FETCH_BACKOFF_MIN, limits::FETCH_BACKOFF_MAX)
}

async fn pause(backoff: &mut Backoff) -> Result<(), AwsError> {
    let random = entropy::bytes().map_err(FetchError::Entropy)?;
    sleep(backoff.next_pause(u64::from_le_bytes(random))).await;
    Ok(())
}

fn known(name: &str) -> &'static Service {
    Service::find(name).expect("the table has the services that are typed here")
}

/// Whether an operation changes nothing, by the words with which AWS names such.
fn is_reading(operation: &str) -> bool {
    [
        "Get", "List", "Describe", "Query", "Scan", "BatchGet", "Head", "Lookup",
    ]
    .iter()
    .any(|word| operation.starts_with(word))
}

fn of_sts(error: StsCallError) -> AwsError {
    match error {
        StsCallError::Service(error) => AwsError::Service(error),
        other => AwsError::Answer(other.to_string()),
    }
}
