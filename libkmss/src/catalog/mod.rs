//! LOCAL STUB, replaced by the store wing.
#![allow(missing_docs, clippy::todo, unused)]
use crate::{
    caller::Caller,
    error::Result,
    key::{DomainKey, KeyClass, Object},
    random::Random,
    store::Store,
    tenant::{Namespace, NamespaceId, ObjectId},
};
use std::sync::Arc;
pub struct Catalog;
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub label: Option<Vec<u8>>,
    pub identifier: Option<Vec<u8>>,
    pub kind: Option<Kind>,
}
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Secret,
    Private,
    Public,
    Certificate,
    Data,
}
impl Catalog {
    pub fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, home: Arc<DomainKey>) -> Self {
        todo!()
    }
    pub fn get(&self, c: &Caller, id: ObjectId) -> Result<Arc<Object>> {
        todo!()
    }
    pub fn create(&self, c: &Caller, o: &mut [Object]) -> Result<Vec<Arc<Object>>> {
        todo!()
    }
    pub fn update(&self, c: &Caller, o: &Object) -> Result<Arc<Object>> {
        todo!()
    }
    pub fn rename(&self, c: &Caller, o: &Object, name: &str) -> Result<Arc<Object>> {
        todo!()
    }
    pub fn destroy(&self, c: &Caller, o: &Object) -> Result<()> {
        todo!()
    }
    pub fn find(&self, c: &Caller, q: &Query, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>> {
        todo!()
    }
    pub fn find_by_name(&self, c: &Caller, name: &str, class: KeyClass) -> Result<Option<Arc<Object>>> {
        todo!()
    }
    pub fn forget_private(&self, ns: NamespaceId) {
        todo!()
    }
}
