//! Keys that are made where another keeps the records, while somebody else follows it.

use std::sync::atomic::Ordering;

use super::*;
use crate::key::{Body, KeySpec};
use crate::mechanism::Curve;
use crate::operation::GeneratePair;

fn pair(house: &House, name: &str) -> GeneratePair {
    let [mut private, public] =
        [(); 2].map(|()| Draft { name: name.into(), exact: true, ..house.draft(Storage::Stored) });
    private.private = true;
    GeneratePair { spec: KeySpec::Ec(Curve::P256), private, public }
}

#[test]
fn a_pair_whose_public_half_somebody_took_over_already_is_there_whole() {
    let (house, _) = House::with_key();
    let (_, known) = house.pipeline.perform(&house.user, pair(&house, "known")).unwrap();
    house.engine.is_keeper.store(true, Ordering::SeqCst);
    let wanted = pair(&house, "pay");
    let ids = [wanted.private.id, wanted.public.id];
    // Whoever has not logged in sees no more of it.
    let mut half = Object { id: ids[1], revision: 0, ..Object::clone(&known) };
    let Body::Key(key) = &mut half.body else { panic!("{half:?}") };
    key.name = "pay".into();
    let (pipeline, public) = (Arc::clone(&house.pipeline), house.public.clone());
    *house.engine.meanwhile.lock().unwrap() = Some(Box::new(move || {
        pipeline.hall.catalog.create(&public, &mut [half]).unwrap();
    }));
    let (private, public) = house.pipeline.perform(&house.user, wanted).unwrap();
    assert_eq!([private.id, public.id], ids);
    for id in ids {
        let found = house.pipeline.hall.catalog.get(&house.user, id).unwrap();
        assert_eq!(found.key().unwrap().name, "pay");
    }
    assert!(house.pipeline.hall.catalog.get(&house.public, ids[0]).is_err(), "the private half stays private");
}
