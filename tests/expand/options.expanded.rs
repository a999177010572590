#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for User {
        const NAME: &'static ::core::primitive::str = "User";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["users"];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("slug"),
            __d::FieldDef::new::<String>("email"),
            __d::FieldDef::new::<bool>("unique"),
            __d::FieldDef::new::<String>("department"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.slug)
        }
    }
    #[automatically_derived]
    impl __d::Primary for User
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl __d::Indexed for User {
        const INDEXES: &'static [__d::IndexDef] = &[
            __d::IndexDef::new(&[1]).unique(),
            __d::IndexDef::new(&[2]).covering().unique(),
            __d::IndexDef::new(&[3]),
        ];
    }
    #[automatically_derived]
    impl User {
        /// The field `slug`.
        const SLUG: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `email`.
        const EMAIL: __d::Field<Self, String> = __d::Field::at(1);
        /// The field `unique`.
        const UNIQUE: __d::Field<Self, bool> = __d::Field::at(2);
        /// The field `department`.
        const DEPARTMENT: __d::Field<Self, String> = __d::Field::at(3);
    }
};
