//! Keys: BLAKE3-256 over explicit, domain-tagged, versioned, field-by-field encodings.
//!
//! Changing anything here changes every key ever written: raise the tag's version when you do.

use crate::ir::Setting;

/// A BLAKE3-256 digest.
pub type Digest = [u8; 32];

/// A stored key: 8 bytes of namespace (model and engine), 24 bytes of digest.
pub type Key = [u8; 32];

const LOGLIKELIHOOD: u8 = 1;
const GENERATE: u8 = 2;
const REQUEST_TAG: &[u8] = b"evalc.request.v1";
const SETTING_TAG: &[u8] = b"evalc.setting.v1";
const NAMESPACE_TAG: &[u8] = b"evalc.namespace.v1";
const KEY_TAG: &[u8] = b"evalc.key.v1";

/// The hash state after a run of token ids, shared by every request that starts with them.
#[derive(Clone)]
pub struct RequestHasher {
    state: blake3::Hasher,
    count: u64,
}

impl RequestHasher {
    /// State before any token. `generate` says which kind of request it will be.
    pub fn new(generate: bool) -> Self {
        let mut state = blake3::Hasher::new();
        state.update(REQUEST_TAG);
        state.update(&[if generate { GENERATE } else { LOGLIKELIHOOD }]);
        RequestHasher { state, count: 0 }
    }

    /// Take in token ids.
    pub fn ids(&mut self, ids: &[u32], buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
        self.state.update(buffer);
        self.count += ids.len() as u64;
    }

    /// Close the request. The trailer has a fixed size, so the encoding is injective.
    pub fn finish(mut self, scored: u64, setting: &Digest) -> Digest {
        self.state.update(setting);
        self.state.update(&(self.count - scored).to_le_bytes());
        self.state.update(&scored.to_le_bytes());
        *self.state.finalize().as_bytes()
    }
}

/// Digest of generation settings.
pub fn setting_digest(setting: &Setting) -> Digest {
    let mut state = blake3::Hasher::new();
    state.update(SETTING_TAG);
    state.update(&(setting.max_new_tokens as u64).to_le_bytes());
    state.update(&setting.temperature.to_bits().to_le_bytes());
    state.update(&setting.top_p.to_bits().to_le_bytes());
    state.update(&(setting.top_k as u64).to_le_bytes());
    state.update(&setting.seed.to_le_bytes());
    state.update(&(setting.slot as u64).to_le_bytes());
    state.update(&(setting.stop.len() as u64).to_le_bytes());
    for stop in setting.stop.iter() {
        state.update(&(stop.len() as u64).to_le_bytes());
        state.update(stop.as_bytes());
    }
    state.update(&(setting.eos_ids.len() as u64).to_le_bytes());
    for id in setting.eos_ids.iter() {
        state.update(&id.to_le_bytes());
    }
    // names of unlike kinds cannot be taken for one another, and nothing follows them
    for correction in setting.corrections.iter() {
        state.update(&(correction.name().len() as u64).to_le_bytes());
        state.update(correction.name().as_bytes());
    }
    *state.finalize().as_bytes()
}

/// Settings digest of requests that generate nothing.
pub const NO_SETTING: Digest = [0; 32];

/// What binds a request to a model and an engine.
pub struct Namespace {
    prefix: [u8; 8],
    state: blake3::Hasher,
}

impl Namespace {
    /// From the hex identities of the Ir.
    pub fn new(model_id: &str, engine_id: &str) -> Self {
        let bound = |tag: &[u8]| {
            let mut state = blake3::Hasher::new();
            state.update(tag);
            for part in [model_id, engine_id] {
                state.update(&(part.len() as u64).to_le_bytes());
                state.update(part.as_bytes());
            }
            state
        };
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&bound(NAMESPACE_TAG).finalize().as_bytes()[..8]);
        Namespace { prefix, state: bound(KEY_TAG) }
    }

    /// The stored key of a request.
    pub fn key(&self, request: &Digest) -> Key {
        let mut state = self.state.clone();
        state.update(request);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.prefix);
        key[8..].copy_from_slice(&state.finalize().as_bytes()[..24]);
        key
    }
}

/// The key of the hash in [`order_key`].
pub fn order_salt(seed: u64) -> [u8; 32] {
    let mut salt = [0; 32];
    salt[..16].copy_from_slice(b"evalc.order.v1\0\0");
    salt[16..24].copy_from_slice(&seed.to_le_bytes());
    salt
}

/// Position of a unit in the one order that every tier is a prefix of: ascending.
///
/// `decide.md` orders by `-ln(U)/a`; at equal weights that is the order of `-U`, so the
/// complemented hash is compared and no logarithm enters the order.
pub fn order_key(seed: u64, id: &str) -> u128 {
    let hash = blake3::keyed_hash(&order_salt(seed), id.as_bytes());
    let mut head = [0; 16];
    head.copy_from_slice(&hash.as_bytes()[..16]);
    !u128::from_be_bytes(head)
}

/// Id of a row that has no stable id of its own: 16 hex digits of its content's hash.
pub fn content_id(canonical_json: &[u8]) -> String {
    blake3::hash(canonical_json).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Correction;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn request(context: &[u32], scored: &[u32]) -> Digest {
        let (mut hasher, mut buffer) = (RequestHasher::new(false), Vec::new());
        hasher.ids(context, &mut buffer);
        hasher.ids(scored, &mut buffer);
        hasher.finish(scored.len() as u64, &NO_SETTING)
    }

    #[test]
    fn moving_a_token_from_context_to_continuation_changes_the_digest() {
        assert_ne!(request(&[1, 2], &[3]), request(&[1], &[2, 3]));
    }

    #[test]
    fn a_prefix_taken_in_pieces_gives_the_same_digest() {
        let (mut hasher, mut buffer) = (RequestHasher::new(false), Vec::new());
        for id in [1, 2, 3] {
            hasher.ids(&[id], &mut buffer);
        }
        assert_eq!(hasher.finish(1, &NO_SETTING), request(&[1, 2], &[3]));
    }

    #[test]
    fn golden_vectors_hold() {
        let digest = request(&[1, 2], &[3]);
        assert_eq!(hex(&digest), GOLDEN_REQUEST);
        assert_eq!(hex(&Namespace::new("aa", "bb").key(&digest)), GOLDEN_KEY);
        assert_eq!(hex(&setting_digest(&setting())), GOLDEN_SETTING);
        let corrected = |found: Vec<_>| Setting { corrections: found.into(), ..setting() };
        let of = |space, eos, decoding| {
            let found = Correction::of(space, if eos { &[2] } else { &[] }, decoding);
            hex(&setting_digest(&corrected(found)))
        };
        assert_eq!(of(true, false, ""), GOLDEN_FIRST_SPACE);
        assert_eq!(of(false, true, ""), GOLDEN_PLAIN_EOS);
        assert_eq!(of(true, true, ""), GOLDEN_BOTH);
        assert_eq!(of(true, true, "cc"), GOLDEN_DECODING);
        assert_eq!(order_key(7, "row-1"), GOLDEN_ORDER);
    }

    #[test]
    fn every_field_of_a_setting_is_in_its_digest() {
        let base = setting_digest(&setting());
        let edits: Vec<fn(&mut Setting)> = vec![
            |s| s.max_new_tokens += 1,
            |s| s.stop = ["ab".into(), "x".into()].into(),
            |s| s.stop = ["a".into(), "b".into()].into(),
            |s| s.temperature = 0.5,
            |s| s.top_p = 0.5,
            |s| s.top_k = 3,
            |s| s.seed = 9,
            |s| s.slot = 1,
            |s| s.eos_ids = [2, 7].into(),
            |s| s.corrections = Correction::of(true, &[], "").into(),
            |s| s.corrections = Correction::of(false, &[2], "").into(),
            |s| s.corrections = Correction::of(true, &[2], "").into(),
            |s| s.corrections = Correction::of(false, &[], "cc").into(),
        ];
        for edit in edits {
            let mut changed = setting();
            edit(&mut changed);
            assert_ne!(setting_digest(&changed), base, "{changed:?}");
        }
    }

    fn setting() -> Setting {
        Setting {
            max_new_tokens: 8,
            stop: ["ab".into()].into(),
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            seed: 0,
            slot: 0,
            eos_ids: [2].into(),
            corrections: [].into(),
        }
    }

    // computed with the Python package blake3 from the encodings as documented, not by this code
    const GOLDEN_REQUEST: &str = "acaf4149dec0821074a31840f6b3b94dd2bb77950966af5074a855d5ef873727";
    const GOLDEN_KEY: &str = "0f9a02874621b5c2fc95953d6300e4e604b1a2a8b58161fb4e2c1f22e2e62da8";
    const GOLDEN_SETTING: &str = "e7252a1ebe71ae3c43e1433bbf261b5c8247258966b72f883a6fae9af376f8a5";
    const GOLDEN_FIRST_SPACE: &str =
        "34f926add89bec4ccf61b62a78cafc7d0906129276be3bcbe7fc57937de5dec4";
    const GOLDEN_PLAIN_EOS: &str =
        "5b08da4a1cde8a8d677fac2ac4c8560dbdd728d924acbf3b8ed7fb5eda904aa3";
    const GOLDEN_BOTH: &str = "b32116291f428245e861f3436fb939dd2492cae8ef0ccf103ee5ca716b464779";
    const GOLDEN_DECODING: &str =
        "1669f7dee948e7b13b644686eb1529dd4da8ca78247bbb8a0e0b31479433ccb8";
    const GOLDEN_ORDER: u128 = 268382740363903253257133831279563293303;
}
