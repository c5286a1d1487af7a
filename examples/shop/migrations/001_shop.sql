CREATE TABLE products (
    sku   TEXT PRIMARY KEY,
    price INTEGER NOT NULL CHECK (price > 0),  -- cents
    stock INTEGER NOT NULL CHECK (stock >= 0)
);
INSERT INTO products VALUES ('tea', 450, 100), ('pot', 3900, 3), ('cup', 1200, 12);

CREATE TABLE orders (
    id     UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    card   TEXT NOT NULL,
    total  INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('new', 'reserved', 'paid', 'cancelled')),
    reason TEXT                                -- why it was cancelled
);

CREATE TABLE order_lines (
    order_id UUID NOT NULL REFERENCES orders (id),
    sku      TEXT NOT NULL REFERENCES products (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
);
