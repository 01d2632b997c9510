//! Many keys of a server at once: their names looked for beforehand, and the keys made.

use libkmss::key::KeySpec;
use libkmss::operation::Draft;
use remote::client::ClientError;
use remote::convert;
use remote::proto::{self, generated_key};

use super::{Made, Names, Objects as _, PAGE, ServerObjects, Taken};
use crate::objects::each_looked_for;
use crate::objects::wire::asked;
use crate::output::Failure;

/// Questions that it takes to look for one name: for a key of each class, and for a destroyed one.
const QUESTIONS: usize = 4;

impl ServerObjects<'_> {
    /// One of `names` that is taken. Whichever takes fewer questions is asked: for each name, or for all that there is.
    pub(super) fn taken_there(&self, names: &Names<'_>) -> Result<Option<Taken>, Failure> {
        match self.listed(names, names.len().saturating_mul(QUESTIONS))? {
            Some(found) => Ok(found),
            None => each_looked_for(self, names),
        }
    }

    /// The same, from all keys and tombstones; nothing where these take more than `most` questions.
    fn listed(&self, names: &Names<'_>, most: usize) -> Result<Option<Option<Taken>>, Failure> {
        let mut questions = 0..most;
        let (namespace, page_size) = (self.place(), PAGE);
        let mut wanted = proto::ListObjectsRequest { namespace, page_size, ..Default::default() };
        loop {
            if questions.next().is_none() {
                return Ok(None);
            }
            let page = self.server.ask(wanted.clone())?;
            for object in page.objects {
                let object = self.object(Some(object))?;
                let Some(key) = object.key() else { continue };
                let mut all = std::iter::once(&key.name).chain(&key.metadata.aliases);
                if let Some(name) = all.find(|name| names.contains(name)) {
                    return Ok(Some(Some(Taken::ByKey(name.clone()))));
                }
            }
            if page.next_page_token.is_empty() {
                break;
            }
            wanted.page_token = page.next_page_token;
        }
        let (namespace, page_size) = (self.place(), PAGE);
        let mut wanted = proto::ListTombstonesRequest { namespace, page_size, ..Default::default() };
        loop {
            if questions.next().is_none() {
                return Ok(None);
            }
            let page = self.server.ask(wanted.clone())?;
            for stone in page.tombstones {
                let stone = convert::tombstone(stone)?;
                if !stone.released && names.contains(&stone.name) {
                    return Ok(Some(Some(Taken::ByDestroyed(stone.name))));
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(Some(None));
            }
            wanted.page_token = page.next_page_token;
        }
    }

    /// Makes a key of each draft: secret keys by one call, pairs by one each.
    pub(super) fn make_each(&self, spec: &KeySpec, drafts: Vec<(Draft, Option<Draft>)>) -> Result<Vec<Made>, Failure> {
        let (mut secrets, mut made, mut silent) = (Vec::new(), Vec::with_capacity(drafts.len()), false);
        for (private, public) in drafts {
            match public {
                None => secrets.push(asked(&private)),
                // Nobody waits for each of hundreds.
                Some(_) if silent => made.push(Err("the server was not asked, for it did not answer before".into())),
                Some(public) => {
                    let pair = self.generate_pair(spec.clone(), private, public);
                    silent = matches!(&pair, Err(e) if is_silent(e));
                    made.push(pair);
                }
            }
        }
        if secrets.is_empty() {
            return Ok(made);
        }
        let count = secrets.len();
        let request = proto::GenerateKeysRequest {
            namespace: self.place(),
            spec: Some(spec.into()),
            drafts: secrets,
            request_id: Vec::new(),
        };
        let keys = as_many(self.server.ask(request)?.keys, count)?;
        made.extend(keys.into_iter().map(|one| match one.result {
            Some(generated_key::Result::Error(error)) => Err(format!("the server says: {}", error.message).into()),
            Some(generated_key::Result::Key(key)) => self.object(Some(key)),
            None => self.object(None),
        }));
        Ok(made)
    }
}

/// `keys`, of which there is one for each that was asked for.
fn as_many(keys: Vec<proto::GeneratedKey>, count: usize) -> Result<Vec<proto::GeneratedKey>, Failure> {
    if keys.len() == count {
        return Ok(keys);
    }
    Err("the server answered another number of keys than it was asked".into())
}

fn is_silent(error: &Failure) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Silent { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_number_of_keys_is_none() {
        let keys = |count| vec![proto::GeneratedKey::default(); count];
        assert!(as_many(keys(2), 2).is_ok());
        assert!(as_many(keys(1), 2).is_err() && as_many(keys(3), 2).is_err() && as_many(keys(0), 2).is_err());
    }
}
