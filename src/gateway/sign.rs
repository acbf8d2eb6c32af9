//! Signing of requests for providers of AWS, whose keys are not sent.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    config::{AccessKey, Secret, snapshot::ProviderId},
    dialect::bedrock::sigv4::{Credentials, Signed, SigningKey},
};

/// A shard's keys of the day, derived from the secrets. Each provider's key has at most one here.
#[derive(Default)]
pub struct Signing {
    keys: RefCell<HashMap<(ProviderId, usize), SigningKey>>,
}

impl Signing {
    /// Appends to a request's head what signs it with this key of a provider, as of now.
    pub fn sign(
        &self,
        place: (ProviderId, usize),
        key: &AccessKey,
        (host, path, body): (&str, &str, &[u8]),
        out: &mut Vec<u8>,
    ) {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let credentials = Credentials {
            access_key_id: &key.id,
            secret: key.secret.expose(),
            token: key.token.as_ref().map(Secret::expose),
            region: &key.region,
            service: "bedrock",
        };
        let fields = [("content-type", "application/json"), ("host", host)];
        let signed = Signed { method: "POST", path, fields: &fields, body };
        let mut keys = self.keys.borrow_mut();
        let of_today = keys.entry(place).or_insert_with(|| SigningKey::new(&credentials, unix_s));
        if !of_today.is_of(unix_s) {
            *of_today = SigningKey::new(&credentials, unix_s);
        }
        of_today.write_fields(&credentials, &signed, unix_s, out);
    }
}
