#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for Event {
        const NAME: &'static ::core::primitive::str = "Event";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["events"];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const WRITE_PRIMARY: ::core::primitive::bool = false;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("slug"),
            __d::FieldDef::new::<String>("day"),
            __d::FieldDef::new::<u32>("user"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.slug)
        }
    }
    #[automatically_derived]
    impl __d::IndexOnly for Event
    where
        for<'__dust> Self: __d::Indexed,
    {}
    #[automatically_derived]
    impl __d::Indexed for Event {
        const INDEXES: &'static [__d::IndexDef] = &[
            __d::IndexDef::new(&[1, 2]).covering(),
        ];
    }
    #[automatically_derived]
    impl Event {
        /// The field `slug`.
        const SLUG: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `day`.
        const DAY: __d::Field<Self, String> = __d::Field::at(1);
        /// The field `user`.
        const USER: __d::Field<Self, u32> = __d::Field::at(2);
    }
};
