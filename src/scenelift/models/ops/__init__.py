"""Operations with more than one implementation: a contract, its reference, and faster ones."""
