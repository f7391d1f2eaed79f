//! The rows that claim unique values, kept in the frame of the item that has them.

use periwinkle_core::schema::Model;
use periwinkle_core::sync::record::{ItemKey, Record, same_content};
use periwinkle_core::value::Map;

use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::shared::{Shared, is_expired};
use super::writer::Writer;

/// What a write does to the claims of its item.
#[derive(Default)]
pub(super) struct Claims {
    rows: Vec<(ItemKey, Record, Option<Map>)>,
}

impl Writer<'_> {
    /// What the write of an item does to its claims.
    ///
    /// A claim that is missing although the item had the value before is made up for: the field
    /// was not unique then.
    pub(super) fn claims(
        &self,
        model: &Model,
        before: &Record,
        after: Option<&Map>,
    ) -> Result<Claims, DbError> {
        let mut claims = Claims::default();
        if !model.has_unique() {
            return Ok(claims);
        }
        // An item of another writer may lack what its claims are made from.
        let old = before.item.as_ref().map(|item| model.claims(item));
        let old = old.and_then(Result::ok).unwrap_or_default();
        let own = self.current(model, before);
        let is_hidden = own.is_some_and(|item| is_expired(model, item, || self.now));
        let new = after.map(|item| model.claims(item)).transpose()?;
        let new = new.unwrap_or_default();
        for claim in &new {
            let record = self.record(&claim.key)?;
            let taken = self.current(model, &record);
            // What an item claimed before it expired may be another one's by now; also if the time
            // that it expired by is not trusted any more.
            let is_own = own.is_some_and(|item| {
                let made_of_it = || model.claim_item(&claim.key, item);
                old.contains(claim) && (!is_hidden || same_content(taken, Some(&made_of_it())))
            });
            if let (Some(claimed), false) = (taken, is_own) {
                let error = DbError::NotUnique {
                    model: model.name().to_owned(),
                    field: claim.field.to_owned(),
                };
                return Err(self.if_hidden(model, claimed, error));
            }
            let owner = after.expect("an item that has claims");
            let item = model.claim_item(&claim.key, owner);
            if !same_content(record.item.as_ref(), Some(&item)) {
                claims.rows.push((claim.key.clone(), record, Some(item)));
            }
        }
        for claim in old.iter().filter(|claim| !new.contains(claim)) {
            let record = self.record(&claim.key)?;
            let owner = before.item.as_ref().expect("an item that had claims");
            let own = model.claim_item(&claim.key, owner);
            if same_content(record.item.as_ref(), Some(&own)) {
                claims.rows.push((claim.key.clone(), record, None));
            }
        }
        Ok(claims)
    }

    /// Writes claims into the frame of their item; they travel up where it does.
    pub(super) fn put_claims(&mut self, model: &Model, claims: Claims) {
        for (key, before, item) in claims.rows {
            let mut after = before.clone();
            if model.direction().is_up() {
                after.write(item);
                after.stamp(self.now.trusted_wall());
            } else {
                after.write_unsynced(item);
            }
            self.edit
                .put(self.shared, key, before, after, Origin::Local);
        }
    }
}

impl Edit {
    /// Brings claims in line with an item that came from the cloud, or that goes without anybody
    /// having removed it: nothing is refused, and nothing is told to the cloud, which keeps its own.
    pub(super) fn follow_claims(
        &mut self,
        shared: &Shared,
        before: Option<&Map>,
        after: Option<&Map>,
    ) -> Result<(), DbError> {
        let Some(model) = after
            .or(before)
            .and_then(|item| shared.schema.model_of(item))
        else {
            return Ok(());
        };
        if !model.has_unique() {
            return Ok(());
        }
        let claims = |item: Option<&Map>| {
            let claims = item.map(|item| model.claims(item).unwrap_or_default());
            claims.unwrap_or_default()
        };
        let (old, new) = (claims(before), claims(after));
        for claim in old.iter().filter(|claim| !new.contains(claim)) {
            let owner = before.expect("an item that had claims");
            let own = model.claim_item(&claim.key, owner);
            self.release(shared, &claim.key, &own)?;
        }
        for claim in &new {
            let owner = after.expect("an item that has claims");
            let item = model.claim_item(&claim.key, owner);
            self.claim(shared, &claim.key, item)?;
        }
        Ok(())
    }

    /// Takes a claim away, unless another item has taken it over from one that had expired.
    fn release(&mut self, shared: &Shared, key: &ItemKey, own: &Map) -> Result<(), DbError> {
        let before = self.record_over(shared, key)?;
        if !same_content(before.item.as_ref(), Some(own)) {
            return Ok(());
        }
        let mut after = before.clone();
        if before.change.is_some() {
            // The cloud has not heard of the claim, or not of its end.
            after.write(None);
        } else {
            after.write_unsynced(None);
        }
        self.put(shared, key.clone(), before, after, Origin::Cloud);
        Ok(())
    }

    fn claim(&mut self, shared: &Shared, key: &ItemKey, item: Map) -> Result<(), DbError> {
        let before = self.record_over(shared, key)?;
        // What is on its way to the cloud already stays on its way.
        if before.change.is_none() && !same_content(before.item.as_ref(), Some(&item)) {
            let after = Record::clean(item);
            self.put(shared, key.clone(), before, after, Origin::Cloud);
        }
        Ok(())
    }

    fn record_over(&self, shared: &Shared, key: &ItemKey) -> Result<Record, DbError> {
        match self.record(key) {
            Some(record) => Ok(record.clone()),
            None => shared.record(key),
        }
    }
}
