FROM php:8.3-fpm-alpine
RUN docker-php-ext-install pdo_mysql opcache \
    && pecl install redis \
    && docker-php-ext-enable redis
RUN { \
		echo 'opcache.memory_consumption=128'; \
		echo 'opcache.max_accelerated_files=4000'; \
	} > /usr/local/etc/php/conf.d/opcache-recommended.ini
COPY --from=composer:2 /usr/bin/composer /usr/bin/composer
