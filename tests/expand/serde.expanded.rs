#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for Page {
        const NAME: &'static ::core::primitive::str = "Page";
        const PREFIX: &'static [&'static ::core::primitive::str] = &[
            "reading",
            "and/or",
            "links",
        ];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("slug"),
            __d::FieldDef::new::<u64>("read_at").serde("readAt"),
            __d::FieldDef::new::<String>("page_url").serde("href"),
            __d::FieldDef::new::<u64>("size_bytes").serde("size").wire("bytes"),
            __d::FieldDef::new::<Vec<String>>("tags"),
            __d::FieldDef::opaque("cache").skip(),
            __d::FieldDef::opaque("hash"),
            __d::FieldDef::new::<String>("draft").skip(),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.slug)
        }
    }
    #[automatically_derived]
    impl __d::Primary for Page
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl Page {
        /// The field `slug`.
        const SLUG: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `read_at`.
        const READ_AT: __d::Field<Self, u64> = __d::Field::at(1);
        /// The field `page_url`.
        const PAGE_URL: __d::Field<Self, String> = __d::Field::at(2);
        /// The field `size_bytes`.
        const SIZE_BYTES: __d::Field<Self, u64> = __d::Field::at(3);
        /// The field `tags`.
        const TAGS: __d::Field<Self, Vec<String>> = __d::Field::at(4);
        /// The field `cache`.
        const CACHE: __d::Field<Self, Cell<u32>> = __d::Field::at(5);
        /// The field `hash`.
        const HASH: __d::Field<Self, [u8; 4]> = __d::Field::at(6);
        /// The field `draft`.
        const DRAFT: __d::Field<Self, String> = __d::Field::at(7);
    }
};
