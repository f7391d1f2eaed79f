//! What is in the bucket: reading, listing, and addresses for others.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use periwinkle_core::aws::checksum::{Checksum, Value};
use periwinkle_core::aws::s3::{
    GetObject, ListObjects, ObjectFields, ObjectKey, ObjectPage, PutObject,
};
use periwinkle_core::aws::sigv4::PresignedLife;
use periwinkle_core::time::UnixMillis;
use periwinkle_db::engine::sync_entry;
use tokio::io::AsyncWriteExt;

use super::error::UploadError;
use super::send::with_answer;
use super::uploads::Uploads;
use crate::fetch::Answer;

/// An object on its way here.
pub struct Object {
    fields: ObjectFields,
    answer: Answer,
    /// What came so far, where S3 said what it should be.
    sum: Option<(Checksum, Value)>,
}

/// An address that works for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presigned {
    /// The address.
    pub url: String,
    /// Until when it works.
    pub until: UnixMillis,
}

impl Uploads {
    /// Reads an object; its body comes when it is asked for.
    ///
    /// Dropping the future ends the exchange.
    ///
    /// # Errors
    /// There is none, S3 refuses it, or cannot be reached.
    pub async fn get(&self, key: &str) -> Result<Object, UploadError> {
        let bucket = self.bucket(None)?;
        let get = GetObject::new(ObjectKey::new(key)?);
        let answer = self.hub.sender.open(&bucket, get.request(&bucket)).await?;
        let status = answer.status().as_u16();
        let fields = with_answer(status, answer.headers(), b"", GetObject::answer)?;
        let fields = fields.expect("nothing was asked that is answered with 304");
        let sum = fields
            .checksum
            .map(|value| (Checksum::new(value.algorithm()), value));
        Ok(Object {
            fields,
            answer,
            sum,
        })
    }

    /// Lists objects whose keys begin with this text, a thousand at most.
    ///
    /// # Errors
    /// S3 refuses it, or cannot be reached.
    pub async fn list(&self, prefix: &str) -> Result<ObjectPage, UploadError> {
        self.list_from(prefix, None).await
    }

    /// The same from the place that [`ObjectPage::next`] names.
    ///
    /// # Errors
    /// S3 refuses it, or cannot be reached.
    pub async fn list_from(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<ObjectPage, UploadError> {
        let bucket = self.bucket(None)?;
        let list = ListObjects {
            prefix: prefix.to_owned(),
            token,
            ..ListObjects::default()
        };
        let request = list.request(&bucket);
        self.hub
            .sender
            .call(&bucket, request, ListObjects::answer)
            .await
    }

    /// The prefix of this device's own objects.
    pub fn own_prefix(&self) -> String {
        format!("{}/", self.hub.device)
    }

    /// An address from which whoever holds it may read an object.
    ///
    /// # Errors
    /// There are no credentials, or the life is longer than seven days.
    pub fn presign_get(&self, key: &str, life: Duration) -> Result<Presigned, UploadError> {
        let bucket = self.bucket(None)?;
        let mut request = GetObject::new(ObjectKey::new(key)?).request(&bucket);
        // Whoever opens a link sends no fields of ours.
        request.headers.clear();
        self.presign(&request, life)
    }

    /// An address to which whoever holds it may write an object with `PUT`.
    ///
    /// # Errors
    /// There are no credentials, or the life is longer than seven days.
    pub fn presign_put(&self, key: &str, life: Duration) -> Result<Presigned, UploadError> {
        let bucket = self.bucket(None)?;
        let (mut request, _) = PutObject::new(ObjectKey::new(key)?, 0).request(&bucket)?;
        request.headers.clear();
        self.presign(&request, life)
    }

    fn presign(
        &self,
        request: &periwinkle_core::aws::wire::HttpRequest,
        life: Duration,
    ) -> Result<Presigned, UploadError> {
        let life = PresignedLife::new(life)?;
        let bucket = self.bucket(None)?;
        let (url, until) = self.hub.sender.presign(&bucket, request, life)?;
        Ok(Presigned { url, until })
    }
}

impl Object {
    /// What it is.
    pub const fn fields(&self) -> &ObjectFields {
        &self.fields
    }

    /// The next piece; `None` at the end, when what came is what S3 said it would be.
    ///
    /// # Errors
    /// The connection was cut, or the checksum is another one.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        let piece = self.answer.chunk().await;
        let piece = piece.map_err(|error| UploadError::Unreachable(error.to_string()))?;
        match (&piece, &mut self.sum) {
            (Some(piece), Some((sum, _))) => sum.update(piece),
            (None, Some((sum, expected))) if sum.value() != *expected => {
                return Err(UploadError::Damaged);
            }
            _ => {}
        }
        Ok(piece)
    }

    /// Writes it to a new file beside `path`, which gets its name when it is whole. Then it is safe
    /// from a power cut.
    ///
    /// Dropping the future leaves the part beside it.
    ///
    /// # Errors
    /// The connection was cut, the checksum is another one, or the file cannot be written.
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, UploadError> {
        let path = path.as_ref();
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let failed = |source| UploadError::Spool {
            path: path.to_owned(),
            source,
        };
        let mut file = tokio::fs::File::create(&part).await.map_err(failed)?;
        let mut bytes = 0;
        while let Some(piece) = self.chunk().await? {
            file.write_all(&piece).await.map_err(failed)?;
            bytes += piece.len() as u64;
        }
        file.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&part, path).await.map_err(failed)?;
        let named = path.to_owned();
        let synced = tokio::task::spawn_blocking(move || sync_entry(&named)).await;
        let synced = synced.map_err(io::Error::other).flatten();
        synced.map_err(failed)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
