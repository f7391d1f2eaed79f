//! Signed addresses of AWS IoT.

use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::sigv4::{Payload, PresignedLife, Request, Signer};
use periwinkle_core::limits;
use periwinkle_core::mqtt::address::Address;
use periwinkle_core::time::UnixMillis;

use super::options::Presign;

/// Signs the address of a WebSocket connection to AWS IoT ("Device communication protocols" in the
/// AWS IoT developer guide).
pub(crate) struct IotSigner<K> {
    region: String,
    keys: K,
}

impl<K> IotSigner<K> {
    /// `keys` calls back with the keys of now and the time.
    pub(crate) fn new(region: &str, keys: K) -> IotSigner<K> {
        IotSigner {
            region: region.to_owned(),
            keys,
        }
    }
}

impl<K> Presign for IotSigner<K>
where
    K: Fn(&mut dyn FnMut(&Credentials, UnixMillis)) -> Result<(), String> + Send + Sync,
{
    fn target(&self, address: &Address) -> Result<String, String> {
        let path = address.target.split('?').next().unwrap_or_default();
        let host = address.authority();
        let mut signed = None;
        (self.keys)(&mut |keys, now| {
            let request = Request {
                method: "GET",
                host: &host,
                path,
                query: "",
                headers: &[],
                payload: Payload::Bytes(b""),
            };
            let life = PresignedLife::new(limits::MQTT_SIGNED_ADDRESS_LIFE);
            let life = life.expect("the bound is within AWS's own");
            let mut signer = Signer::new(&self.region, "iotdevicegateway");
            signed = Some(signer.presign(&request, keys, now, life));
        })?;
        let query = signed.ok_or("there are no keys to sign with")?;
        Ok(format!("{path}?{query}"))
    }
}
