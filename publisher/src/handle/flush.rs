//! Flushes that a human orders.

use std::collections::BTreeSet;

use schemas::api::{FlushOrdered, FlushRequest, Mistake};
use schemas::{CacheName, Ordered, Region};

use super::{NotOrdered, PublisherHandle, Repeatable};

impl PublisherHandle {
    /// Orders a flush. A repetition by the same caller is the same order.
    pub(crate) async fn flush(
        &self,
        request: &FlushRequest,
        repeatable: Option<Repeatable<'_>>,
    ) -> Result<FlushOrdered, NotOrdered> {
        let (region, cache) = self.whom(request).map_err(NotOrdered::Invalid)?;
        let mode = request.mode;
        let what = Ordered::Flush { region: region.clone(), cache: cache.clone(), mode };
        let id = self.order_id(repeatable, request);
        let order = self.0.tracker.order(id, what).await?;
        Ok(FlushOrdered {
            id,
            caches: self.0.tracker.ordered_caches(&region, cache.as_ref()),
            region,
            cache,
            mode,
            ordered_at: order.at,
            expires_at: order.expires_at,
        })
    }

    /// The region and cache that are meant, both of which there are.
    fn whom(&self, request: &FlushRequest) -> Result<(Region, Option<CacheName>), Vec<Mistake>> {
        let mistake =
            |pointer: &str, detail: String| vec![Mistake { pointer: pointer.to_owned(), detail }];
        let region: Result<Region, _> = request.region.parse();
        let region = region.map_err(|refusal| mistake("/region", refusal.to_string()))?;
        let there = self.0.tracker.ordered_caches(&region, None);
        if there.is_empty() {
            let known = self.known_regions();
            let known = words(known.iter().map(Region::as_str));
            let detail = format!("no agent of region {region} has reported; there are {known}");
            return Err(mistake("/region", detail));
        }
        let Some(cache) = &request.cache else { return Ok((region, None)) };
        let cache: Result<CacheName, _> = cache.parse();
        let cache = cache.map_err(|refusal| mistake("/cache", refusal.to_string()))?;
        if there.iter().any(|row| row.cache == cache) {
            return Ok((region, Some(cache)));
        }
        let names: BTreeSet<&str> = there.iter().map(|row| row.cache.as_str()).collect();
        let there_are = words(names.into_iter());
        let detail = format!("there is no cache {cache} in region {region}; there are {there_are}");
        Err(mistake("/cache", detail))
    }
}

fn words<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
